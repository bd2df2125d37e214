use std::cell::{Cell, RefCell};
use std::rc::Rc;

use capnp::Error;
use capnp::capability::Promise;
use capnp::private::capability::{ClientHook, PipelineOp};
use capnp_rpc::rpc_capnp::{cap_descriptor, message_target};
use futures::channel::oneshot;

use super::client::Client;
use super::fault::broken;
use super::flow::Flow;
use super::import::Import;
use super::path;
use super::question::Question;
use super::{Connection, innermost, make_room};

/// A capability that will turn out to be another.
pub(super) struct Promised {
    pub(super) connection: Rc<Connection>,
    at: RefCell<At>,
    /// Whether the peer was told of it, so that it may have calls to send back.
    told: Cell<bool>,
    waiting: RefCell<Vec<oneshot::Sender<Box<dyn ClientHook>>>>,
    pub(super) flow: Rc<Flow>,
}

/// Where calls on it go.
enum At {
    /// To a promise of the peer's.
    Import(Rc<Import>),
    /// To a part of an answer that is not there yet.
    Answer(Rc<Question>, Vec<PipelineOp>),
    /// To what it has turned out to be.
    Resolved(Box<dyn ClientHook>),
}

impl Promised {
    pub(super) fn import(import: Rc<Import>) -> Rc<Self> {
        let connection = import.connection.clone();
        Self::new(connection, At::Import(import))
    }

    pub(super) fn answer(question: Rc<Question>, path: Vec<PipelineOp>) -> Rc<Self> {
        let connection = question.connection.clone();
        Self::new(connection, At::Answer(question, path))
    }

    fn new(connection: Rc<Connection>, at: At) -> Rc<Self> {
        let promised = Rc::new(Self {
            connection,
            at: RefCell::new(at),
            told: Cell::new(false),
            waiting: RefCell::default(),
            flow: Rc::default(),
        });
        Client::Promised(promised.clone()).register();
        promised
    }

    pub(super) fn resolved(&self) -> Option<Box<dyn ClientHook>> {
        match &*self.at.borrow() {
            At::Resolved(hook) => Some(hook.add_ref()),
            _ => None,
        }
    }

    /// Waits until it has turned out to be something.
    pub(super) fn when_resolved(&self) -> Promise<Box<dyn ClientHook>, Error> {
        if let Some(hook) = self.resolved() {
            return Promise::ok(hook);
        }
        let (tell, told) = oneshot::channel();
        let waiting = &mut *self.waiting.borrow_mut();
        make_room(waiting, |tell| !tell.is_canceled());
        waiting.push(tell);
        Promise::from_future(async {
            told.await
                .map_err(|_| Error::failed("the promise was dropped".into()))
        })
    }

    /// Addresses a message, where it goes to the peer. Tells what it leads to
    /// otherwise.
    pub(super) fn write_target(
        &self,
        target: message_target::Builder<'_>,
    ) -> Option<Box<dyn ClientHook>> {
        self.told.set(true);
        self.write(target)
    }

    fn write(&self, mut target: message_target::Builder<'_>) -> Option<Box<dyn ClientHook>> {
        match &*self.at.borrow() {
            At::Import(import) => target.set_imported_cap(import.id),
            At::Answer(question, to) => {
                path::write(question.id, to, target.init_promised_answer());
            }
            At::Resolved(hook) => return Some(hook.add_ref()),
        }
        None
    }

    /// Tells the peer which of what it has given us it is. Not of one that has
    /// turned out to be another.
    pub(super) fn write_descriptor(&self, mut descriptor: cap_descriptor::Builder<'_>) {
        self.told.set(true);
        match &*self.at.borrow() {
            At::Import(import) => descriptor.set_receiver_hosted(import.id),
            At::Answer(question, to) => {
                path::write(question.id, to, descriptor.init_receiver_answer());
            }
            At::Resolved(_) => {}
        }
    }

    fn is(&self, hook: &dyn ClientHook) -> bool {
        self.connection.is_own(hook) && hook.get_ptr() == std::ptr::from_ref(self) as usize
    }

    /// Takes what it has turned out to be.
    ///
    /// Where that is not the peer's, calls that the peer was told of come back from
    /// there, and must not be overtaken: until the peer has sent an embargo back,
    /// later ones wait (`Disembargo` in `rpc.capnp`).
    pub(super) fn resolve(&self, to: Result<Box<dyn ClientHook>, Error>) {
        if matches!(&*self.at.borrow(), At::Resolved(_)) {
            return;
        }
        let to = to.map(innermost).and_then(|hook| match self.is(&*hook) {
            true => Err(Error::failed("a promise was resolved to itself".into())),
            false => Ok(hook),
        });
        let hook = match to {
            Ok(hook) => {
                let returns = self.told.get() && !self.connection.is_own(&*hook);
                match returns {
                    true => self
                        .connection
                        .embargo(hook, |target| drop(self.write(target))),
                    false => hook,
                }
            }
            Err(error) => broken(error),
        };
        let waiting = self.waiting.take();
        let before = self.at.replace(At::Resolved(hook.add_ref()));
        for tell in waiting {
            // Whoever waited may have gone.
            drop(tell.send(hook.add_ref()));
        }
        drop(before);
    }
}

impl Drop for Promised {
    fn drop(&mut self) {
        let address = std::ptr::from_ref(self) as usize;
        self.connection.forget_client(address);
    }
}
