//! The one place of this crate that touches `capnp::private`.

use std::rc::Rc;

use capnp::capability::{Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

use crate::opening::Opening;

/// The peer's bootstrap capability, asked for when it is first used. From then
/// on it hands everything through, and what is cloned of it is the capability
/// itself.
pub(crate) struct Deferred(Rc<Opening>);

impl Deferred {
    pub(crate) fn hook(opening: Rc<Opening>) -> Box<dyn ClientHook> {
        Box::new(Self(opening))
    }

    fn target(&self) -> &dyn ClientHook {
        &*self.0.bootstrap().hook
    }
}

impl ClientHook for Deferred {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        match self.0.asked() {
            Some(client) => client.hook.add_ref(),
            None => Self::hook(self.0.clone()),
        }
    }

    fn new_call(
        &self,
        interface: u64,
        method: u16,
        size: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        self.target().new_call(interface, method, size)
    }

    fn call(
        &self,
        interface: u64,
        method: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        self.target().call(interface, method, params, results)
    }

    fn get_brand(&self) -> usize {
        self.target().get_brand()
    }

    fn get_ptr(&self) -> usize {
        self.target().get_ptr()
    }

    /// The capability itself, so that whoever keeps what a promise has become
    /// keeps that.
    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        Some(self.target().add_ref())
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        Some(Promise::ok(self.target().add_ref()))
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        self.target().when_resolved()
    }
}
