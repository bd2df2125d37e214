use std::rc::Rc;

use capnp::any_pointer;
use capnp::message::Reader;
use capnp::private::capability::{ClientHook, ParamsHook};
use capnp::traits::Imbue;
use capnp::{Error, capability, struct_list};
use capnp_rpc::rpc_capnp::{cap_descriptor, message, payload, return_};

use crate::calls::Held;
use crate::frame::Frame;
use crate::link::Link;

/// The capabilities of a message, which its pointers tell by their place.
pub(super) type Caps = Vec<Option<Box<dyn ClientHook>>>;

/// A message from the peer.
pub(super) struct Incoming {
    message: Reader<Frame>,
    /// What is counted of a call for as long as its parameters are held.
    held: Option<Held>,
    link: Rc<Link>,
}

impl Incoming {
    pub(super) fn new(message: Reader<Frame>, held: Option<Held>, link: Rc<Link>) -> Self {
        Self {
            message,
            held,
            link,
        }
    }

    fn root(&self) -> Result<message::Reader<'_>, Error> {
        self.message.get_root()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            self.link.calls.release(held);
        }
    }
}

/// The parameters of a call of the peer's.
pub(super) struct Params {
    pub(super) incoming: Incoming,
    pub(super) caps: Caps,
}

impl ParamsHook for Params {
    fn get(&self) -> Result<any_pointer::Reader<'_>, Error> {
        let message::Call(call) = self.incoming.root()?.which()? else {
            return Err(unlike("a call"));
        };
        let mut content = call?.get_params()?.get_content();
        content.imbue(&self.caps);
        Ok(content)
    }
}

/// What the peer has answered.
pub(super) struct Response {
    pub(super) incoming: Incoming,
    pub(super) caps: Caps,
}

impl Response {
    pub(super) fn get(&self) -> Result<any_pointer::Reader<'_>, Error> {
        let mut content = self.results()?.get_content();
        content.imbue(&self.caps);
        Ok(content)
    }

    /// Of what the pointers are that lead to capabilities.
    pub(super) fn table(&self) -> Result<struct_list::Reader<'_, cap_descriptor::Owned>, Error> {
        self.results()?.get_cap_table()
    }

    fn results(&self) -> Result<payload::Reader<'_>, Error> {
        let message::Return(answer) = self.incoming.root()?.which()? else {
            return Err(unlike("a return"));
        };
        match answer?.which()? {
            return_::Results(results) => results,
            _ => Err(unlike("results")),
        }
    }
}

/// The parts of a message do not change after they have been looked at.
fn unlike(what: &str) -> Error {
    Error::failed(format!("message from the peer is not {what} any more"))
}

/// Typed as nothing in particular.
pub(super) type Answer = capability::Response<any_pointer::Owned>;
