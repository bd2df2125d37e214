use std::cell::{OnceCell, RefCell};
use std::rc::{Rc, Weak};

use capnp::capability::{Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};
use rustc_hash::FxHashMap;
use ww_rpc::drop_later;

use crate::hook::admit::{Admitted, Route};
use crate::hook::bare::Bare;
use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::cross::{Depth, Direction, cross, resolved};
use crate::hook::flight::Flight;
use crate::hook::forward::forward;
use crate::hook::hold::Hold;
use crate::hook::nested::Nested;
use crate::hook::params::Params;
use crate::hook::registry::Key;
use crate::hook::request::{self, is_local};
use crate::hook::returned::when_resolved;
use crate::hook::stream::Stream;
use crate::hook::turn::{Queue, Turn, Turns};
use crate::ledger::Tally;
use crate::{Call, Held, thread};

/// A reference to a capability on the other side of a boundary.
pub(super) struct Wrapper {
    wrapped: Rc<Wrapped>,
    /// Whether calls on it have been put to the policy already.
    judged: bool,
}

/// What all references to the same capability share.
pub(crate) struct Wrapped {
    boundary: Rc<Boundary>,
    key: Key,
    /// Absent once the boundary has fallen.
    inner: RefCell<Option<Hold>>,
    /// Why a stream of calls on it was denied: then all that follows is.
    denied: OnceCell<Error>,
    /// Where streaming calls on it go over a connection.
    stream: OnceCell<Rc<Stream>>,
    /// Redirected calls that wait for its resolution, by where they go then.
    undecided: RefCell<FxHashMap<Key, Undecided>>,
    /// Calls on it that wait in line.
    turns: Turns,
    /// Whether it is no connection's by its looks, and no promise. Known from the
    /// first call on.
    own: OnceCell<bool>,
    /// Tells it from all others that this boundary ever had.
    id: u64,
    tally: RefCell<Tally>,
}

/// Where redirected calls wait, and whether some still do.
struct Undecided {
    waiting: Box<dyn ClientHook>,
    calls: Weak<()>,
}

impl Wrapped {
    /// A wrapper that its boundary and the root know.
    pub(super) fn new(boundary: &Rc<Boundary>, key: Key, inner: Box<dyn ClientHook>) -> Rc<Self> {
        let wrapped = Rc::new(Self {
            boundary: boundary.clone(),
            key,
            inner: RefCell::new(Some(Hold::new(inner))),
            denied: OnceCell::new(),
            stream: OnceCell::new(),
            undecided: RefCell::default(),
            turns: Turns::default(),
            own: OnceCell::new(),
            id: boundary.ledger().next_id(),
            tally: RefCell::default(),
        });
        boundary.registry.borrow_mut().insert(&wrapped);
        boundary.root().insert(&wrapped);
        wrapped
    }

    /// What can be seen of it.
    pub(super) fn seen(&self) -> Held {
        Held {
            id: self.id,
            direction: self.key.direction(),
            calls: self.tally.borrow().calls(),
        }
    }

    pub(super) fn count(&self, call: &Call, passed: bool) {
        self.tally.borrow_mut().count(*call, passed);
    }

    /// Moves its counts to those of what is held no longer.
    pub(super) fn close(&self) {
        self.boundary.ledger().close(&self.tally);
    }

    /// Denies all calls from now on.
    pub(super) fn deny(&self, error: Error) {
        // The first denial is the one that everybody hears of.
        let _ = self.denied.set(error);
    }

    pub(super) fn denied(&self) -> Option<&Error> {
        self.denied.get()
    }

    /// Where streaming calls on it go over a connection.
    pub(super) fn stream(&self) -> &Rc<Stream> {
        self.stream
            .get_or_init(|| Rc::new(Stream::new(&self.boundary)))
    }

    /// Whether no call on it waits in line, and it is known that none need to.
    pub(super) fn is_unqueued(&self) -> bool {
        self.own.get() == Some(&true) && self.turns.are_over()
    }

    /// Lets go of streaming calls that are over.
    pub(super) fn settle(&self) {
        if let Some(stream) = self.stream.get() {
            stream.settle();
        }
    }

    /// Where calls wait that go to `key` once it is known whether they cross:
    /// to the same for all, so that they keep their order. Each of them holds
    /// the ticket until it is over.
    pub(super) fn undecided(
        &self,
        key: Key,
        begin: impl FnOnce() -> Box<dyn ClientHook>,
    ) -> (Box<dyn ClientHook>, Rc<()>) {
        if let Some(known) = self.undecided.borrow().get(&key)
            && let Some(ticket) = known.calls.upgrade()
        {
            return (known.waiting.add_ref(), ticket);
        }
        // What nobody waits at any more has a deadline of long ago.
        let (waiting, ticket) = (begin(), Rc::new(()));
        let known = Undecided {
            waiting: waiting.add_ref(),
            calls: Rc::downgrade(&ticket),
        };
        let left = self.undecided.borrow_mut().insert(key, known);
        drop(left);
        (waiting, ticket)
    }

    /// Calls wait no more that go to `key`.
    pub(super) fn decided(&self, key: Key) {
        let waiting = self.undecided.borrow_mut().remove(&key);
        drop(waiting);
    }

    pub(super) fn boundary(&self) -> &Rc<Boundary> {
        &self.boundary
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn ptr(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// A reference to the capability itself.
    ///
    /// # Errors
    ///
    /// The boundary has fallen.
    pub(super) fn target(&self) -> Result<Box<dyn ClientHook>, Error> {
        self.boundary.check()?;
        let inner = self.inner.borrow();
        let target = inner.as_ref().map(|inner| inner.add_ref());
        target.ok_or_else(|| Error::disconnected("membrane has fallen".into()))
    }

    /// The same for a call: what it has resolved to by now.
    ///
    /// # Errors
    ///
    /// The boundary has fallen.
    pub(super) fn callee(&self) -> Result<Box<dyn ClientHook>, Error> {
        // A promise that a peer has resolved to itself must not be called.
        let target = self.target()?;
        if self.own.get().is_none() {
            let settled =
                || target.get_resolved().is_none() && target.when_more_resolved().is_none();
            let _ = self.own.set(is_local(&*target) && settled());
        }
        Ok(resolved(target).unwrap_or_else(broken::endless))
    }

    pub(super) fn release(&self) {
        let inner = self.inner.borrow_mut().take();
        let undecided = self.undecided.take();
        drop((inner, undecided));
    }
}

impl Queue for Wrapped {
    fn turns(&self) -> &Turns {
        &self.turns
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        let emptied = {
            let mut registry = self.boundary.registry.borrow_mut();
            registry.remove(self) && registry.len() == 0
        };
        self.boundary.root().remove(self);
        self.close();
        if let Some(stream) = self.stream.take() {
            // What was sent arrives, whoever holds on to the capability.
            thread::set_adrift(stream);
        }
        if emptied {
            self.boundary.look();
        }
        let inner = self.inner.take();
        if inner.as_ref().is_some_and(|inner| is_local(&**inner)) {
            // Its `Drop` may call whoever has let go of it.
            drop_later(inner);
        }
    }
}

impl Wrapper {
    pub(super) fn new(wrapped: Rc<Wrapped>) -> Self {
        Self {
            wrapped,
            judged: false,
        }
    }

    /// What stands for `inside`, for calls that have been put to the policy
    /// already.
    pub(super) fn judged(
        boundary: &Rc<Boundary>,
        direction: Direction,
        inside: Box<dyn ClientHook>,
    ) -> Box<dyn ClientHook> {
        let crossed = cross(boundary, direction, inside);
        match boundary.root().recognise(crossed.get_ptr()) {
            Some(wrapped) => Box::new(Self {
                wrapped,
                judged: true,
            }),
            // It was the caller's own.
            None => crossed,
        }
    }

    fn cross(&self, hook: Box<dyn ClientHook>) -> Box<dyn ClientHook> {
        cross(&self.wrapped.boundary, self.wrapped.key.direction(), hook)
    }

    fn admit_and_call(
        &self,
        call: Call,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
        size: Option<MessageSize>,
    ) -> Result<Promise<(), Error>, Error> {
        let measure = || params.get()?.target_size();
        let Admitted { route, tickets } = self.wrapped.admit(&call, self.judged, measure)?;
        let boundary = &self.wrapped.boundary;
        let direction = self.wrapped.key.direction();
        let target = match route {
            Route::Inside => self.wrapped.callee()?,
            Route::Elsewhere(target) => target,
            Route::Undecided(target) => {
                let this = self.wrapped.clone();
                let done = target.call(call.interface, call.method, params, results);
                let work = tickets.until_over(Promise::from_future(async move {
                    let _waiting = this;
                    done.await
                }));
                return Ok(Flight::promise(boundary, work));
            }
        };
        if !is_local(&*target) {
            let work = forward(boundary, direction, &call, &*target, params, results)?;
            return Ok(Flight::promise(boundary, tickets.until_over(work)));
        }
        let settled =
            self.wrapped.own.get() == Some(&true) || target.when_more_resolved().is_none();
        let params = Params::cross(boundary, direction.reverse(), params, size)?;
        let made = self.wrapped.make(call, &*target, params, results, tickets);
        let flight = Flight::promise(boundary, made);
        Ok(if settled {
            flight
        } else {
            Promise::from_future(Nested(flight))
        })
    }
}

impl ClientHook for Wrapper {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Self {
            wrapped: self.wrapped.clone(),
            judged: self.judged,
        })
    }

    fn new_call(
        &self,
        interface: u64,
        method: u16,
        _: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        let call = Call { interface, method };
        Request::new(match self.wrapped.callee() {
            Err(error) => broken::request(error),
            Ok(target) => Box::new(request::Request::new(
                self.wrapped.clone(),
                call,
                target,
                self.judged,
            )),
        })
    }

    fn call(
        &self,
        interface: u64,
        method: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        let call = Call { interface, method };
        let wrapped = &self.wrapped;
        let size = (!self.judged)
            .then(|| wrapped.bare_size(&*params))
            .flatten();
        if size.is_some_and(|size| size.cap_count == 0) {
            let bare = Bare::new(wrapped.clone(), call, params, results);
            return Flight::promise(&wrapped.boundary, bare);
        }
        let this = Self {
            wrapped: self.wrapped.clone(),
            judged: self.judged,
        };
        Promise::from_future(Turn::wait(self.wrapped.clone(), move || {
            this.admit_and_call(call, params, results, size)
                .unwrap_or_else(Promise::err)
        }))
    }

    fn get_brand(&self) -> usize {
        self.wrapped.boundary.root().brand()
    }

    fn get_ptr(&self) -> usize {
        self.wrapped.ptr()
    }

    /// Answers with the end of the chain of resolutions, or with a broken
    /// capability where there is none in sight; so whoever follows this comes
    /// to an end.
    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        let target = self.wrapped.target().ok()?;
        // Wrappers of wrappers are as good as promises of promises: whoever
        // has one pass through many membranes must not make it any longer.
        let Some(_depth) = Depth::enter() else {
            return Some(broken::endless());
        };
        Some(self.cross(target.get_resolved()?))
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        // A promise that is asked after it has resolved never answers.
        if let Some(resolved) = self.get_resolved() {
            return Some(Promise::ok(resolved));
        }
        let resolution = self.wrapped.target().ok()?.when_more_resolved()?;
        let this = Self::new(self.wrapped.clone());
        let boundary = self.wrapped.boundary.clone();
        let work = Promise::from_future(async move { Ok(this.cross(resolution.await?)) });
        Some(Flight::promise(&boundary, work))
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        when_resolved(self.add_ref())
    }
}
