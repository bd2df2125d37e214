use std::rc::{Rc, Weak};

use capnp::capability::{Promise, Request as TypedRequest};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};
use capnp_rpc::rpc_capnp::message_target;

use super::Connection;
use super::fault::broken;
use super::flow::Flow;
use super::import::Import;
use super::promised::Promised;
use super::request::Request;

/// A capability on which calls go over a connection, at least for now.
#[derive(Clone)]
pub(super) enum Client {
    Import(Rc<Import>),
    Promised(Rc<Promised>),
}

/// The same, held by nobody.
pub(super) enum WeakClient {
    Import(Weak<Import>),
    Promised(Weak<Promised>),
}

impl WeakClient {
    pub(super) fn upgrade(&self) -> Option<Client> {
        Some(match self {
            Self::Import(import) => Client::Import(import.upgrade()?),
            Self::Promised(promised) => Client::Promised(promised.upgrade()?),
        })
    }
}

impl Client {
    pub(super) fn connection(&self) -> &Rc<Connection> {
        match self {
            Self::Import(import) => &import.connection,
            Self::Promised(promised) => &promised.connection,
        }
    }

    /// Lets the connection know it again when it is sent back.
    pub(super) fn register(&self) {
        let weak = match self {
            Self::Import(import) => WeakClient::Import(Rc::downgrade(import)),
            Self::Promised(promised) => WeakClient::Promised(Rc::downgrade(promised)),
        };
        let connection = self.connection();
        connection.note_client(self.get_ptr(), weak);
    }

    pub(super) fn flow(&self) -> Rc<Flow> {
        match self {
            Self::Import(import) => import.flow.clone(),
            Self::Promised(promised) => promised.flow.clone(),
        }
    }

    /// Addresses a message, where it goes to the peer. Tells what it leads to
    /// otherwise.
    pub(super) fn write_target(
        &self,
        mut target: message_target::Builder<'_>,
    ) -> Option<Box<dyn ClientHook>> {
        match self {
            Self::Import(import) => {
                target.set_imported_cap(import.id);
                None
            }
            Self::Promised(promised) => promised.write_target(target),
        }
    }
}

impl ClientHook for Client {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(self.clone())
    }

    fn new_call(
        &self,
        interface_id: u64,
        method_id: u16,
        size_hint: Option<MessageSize>,
    ) -> TypedRequest<any_pointer::Owned, any_pointer::Owned> {
        if let Some(hook) = self.get_resolved() {
            return hook.new_call(interface_id, method_id, size_hint);
        }
        if let Some(error) = self.connection().ended() {
            return broken(error).new_call(interface_id, method_id, size_hint);
        }
        let request = Request::new(self.clone(), interface_id, method_id, size_hint);
        TypedRequest::new(Box::new(request))
    }

    fn call(
        &self,
        interface_id: u64,
        method_id: u16,
        params: Box<dyn ParamsHook>,
        mut results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        if let Some(hook) = self.get_resolved() {
            return hook.call(interface_id, method_id, params, results);
        }
        let request = params.get().and_then(|params| {
            let size = params.target_size()?;
            let mut request = self.new_call(interface_id, method_id, Some(size));
            request.get().set_as(params)?;
            Ok(request)
        });
        drop(params);
        match request {
            Ok(request) => {
                let sent = request.send();
                Promise::from_future(async move {
                    let response = sent.promise.await?;
                    results.get()?.set_as(response.get()?)
                })
            }
            Err(error) => Promise::err(error),
        }
    }

    fn get_brand(&self) -> usize {
        self.connection().brand()
    }

    fn get_ptr(&self) -> usize {
        match self {
            Self::Import(import) => Rc::as_ptr(import) as usize,
            Self::Promised(promised) => Rc::as_ptr(promised) as usize,
        }
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        match self {
            Self::Import(_) => None,
            Self::Promised(promised) => promised.resolved(),
        }
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        match self {
            Self::Import(_) => None,
            Self::Promised(promised) => Some(promised.when_resolved()),
        }
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        match self.when_more_resolved() {
            Some(more) => Promise::from_future(async { more.await?.when_resolved().await }),
            None => Promise::ok(()),
        }
    }
}
