use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

use capnp::capability::{Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::covers::Covered;
use crate::hook::cross::{RESOLUTIONS, resolved};
use crate::hook::flight::Flight;
use crate::hook::hold::Hold;
use crate::hook::message::Message;
use crate::hook::nested::Nested;
use crate::hook::place::{Place, Release};
use crate::hook::request::is_local;
use crate::hook::turn::{Queue, Turn, Turns};

/// How many may be held of one root. Each can resolve to the next one, so what
/// holds the first may hold them all without knowing.
const HELD: usize = 4096;

/// A capability that goes back to the side that it is from.
///
/// A peer can resolve a promise to the answer of the very call that gives the
/// promise back, or give such an answer back itself, as a result of what it is
/// called with through us; and capnp-rpc follows such a circle for ever. So
/// nothing of a peer's goes back bare: every circle leads through one of these,
/// which follows it to a bound, and opens it when its boundary falls: nobody
/// else could ever let go of what holds itself.
///
/// Where a promise that a connection has exported turns out to be the peer's
/// own, the connection is shown that, and its vat sees to it that no call on it
/// is its own answer.
pub(super) struct Returned(Rc<Cover>);

/// What all references to what has gone back share.
pub(super) struct Cover {
    inner: RefCell<Hold>,
    /// As what the root knows it; none where it is no promise, or what that has
    /// resolved to by now.
    promise: Cell<Option<Covered>>,
    boundary: Rc<Boundary>,
    place: OnceCell<Place>,
    line: Rc<Line>,
}

/// Calls on it that have not begun. Those that have hold this and not what they
/// were made on, which may wait for them.
#[derive(Default)]
struct Line(Turns);

impl Returned {
    /// `hook`, under cover unless it is an object of this thread's own. Broken
    /// where too many promises are.
    pub(super) fn cover(hook: Box<dyn ClientHook>, boundary: &Rc<Boundary>) -> Box<dyn ClientHook> {
        match Self::new(hook, boundary) {
            Ok(returned) => Box::new(returned),
            Err(hook) => hook,
        }
    }

    fn new(
        hook: Box<dyn ClientHook>,
        boundary: &Rc<Boundary>,
    ) -> Result<Self, Box<dyn ClientHook>> {
        let hook = resolved(hook).ok_or_else(broken::endless)?;
        let settled = hook.when_more_resolved().is_none();
        if settled && is_local(&*hook) {
            return Err(hook);
        }
        let covers = boundary.root().covers();
        let promise = (!settled).then(|| Covered::of(&*hook, boundary));
        if let Some(promise) = promise {
            if let Some(cover) = covers.find(promise) {
                return Ok(Self(cover));
            }
            if covers.len() >= HELD {
                return Err(broken::client(Error::overloaded(format!(
                    "peer was given back {HELD} of its own promises that it has not resolved"
                ))));
            }
        }
        let cover = Rc::new(Cover {
            inner: RefCell::new(Hold::new(hook)),
            promise: Cell::new(promise),
            boundary: boundary.clone(),
            place: OnceCell::new(),
            line: Rc::default(),
        });
        if let Some(promise) = promise {
            covers.insert(promise, &cover);
            let held: Weak<Cover> = Rc::downgrade(&cover);
            let _ = cover.place.set(boundary.hold(held));
        }
        Ok(Self(cover))
    }

    fn callee(&self) -> Box<dyn ClientHook> {
        resolved(self.0.inner()).unwrap_or_else(broken::endless)
    }
}

impl Cover {
    fn inner(&self) -> Box<dyn ClientHook> {
        self.inner.borrow().add_ref()
    }

    fn is_settled(&self) -> bool {
        self.promise.get().is_none()
    }

    /// Has the root know the promise no more.
    fn settle(&self) {
        if let Some(promise) = self.promise.take() {
            self.boundary.root().covers().remove(promise);
        }
    }
}

impl Drop for Cover {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Queue for Line {
    fn turns(&self) -> &Turns {
        &self.0
    }
}

impl Release for Cover {
    /// What went back outlives the boundary; only the way there does not.
    fn release(&self) {
        let end = resolved(self.inner()).unwrap_or_else(broken::endless);
        if end.when_more_resolved().is_some() {
            // It may become a circle yet, so it stays under cover.
            return;
        }
        self.settle();
        let left = self.inner.replace(Hold::new(end));
        drop(left);
    }
}

impl ClientHook for Returned {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Self(self.0.clone()))
    }

    fn new_call(
        &self,
        interface_id: u64,
        method_id: u16,
        size_hint: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        self.callee().new_call(interface_id, method_id, size_hint)
    }

    fn call(
        &self,
        interface_id: u64,
        method_id: u16,
        params: Box<dyn ParamsHook>,
        results: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        let this = Self(self.0.clone());
        let turn = Turn::wait(self.0.line.clone(), move || {
            let request = this.callee().new_call(interface_id, method_id, None);
            let boundary = &this.0.boundary;
            let work = send(request, params, results, boundary.clone());
            match boundary.check() {
                // Two such calls can wait for one another.
                Ok(()) => Flight::promise(boundary, work),
                Err(_) => work,
            }
        });
        Promise::from_future(Nested(turn))
    }

    fn get_brand(&self) -> usize {
        0
    }

    /// Its own: the promise's may be another's once this has let go of the promise.
    fn get_ptr(&self) -> usize {
        std::ptr::from_ref(&*self.0) as usize
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        let inner = self.0.inner();
        if self.0.is_settled() {
            return Some(inner);
        }
        Some(Self::cover(inner.get_resolved()?, &self.0.boundary))
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        if self.0.is_settled() {
            return None;
        }
        let boundary = self.0.boundary.clone();
        let inner = self.0.inner();
        // A promise that is asked after it has resolved never answers.
        if let Some(resolved) = inner.get_resolved() {
            return Some(Promise::ok(Self::cover(resolved, &boundary)));
        }
        let resolution = inner.when_more_resolved()?;
        Some(Promise::from_future(async move {
            Ok(Self::cover(resolution.await?, &boundary))
        }))
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        when_resolved(self.add_ref())
    }
}

/// Sends `request` with `params`. The results go back as well, so they are
/// covered.
fn send(
    mut request: Request<any_pointer::Owned, any_pointer::Owned>,
    params: Box<dyn ParamsHook>,
    mut results: Box<dyn ResultsHook>,
    boundary: Rc<Boundary>,
) -> Promise<(), Error> {
    if let Err(error) = params.get().and_then(|content| request.set(content)) {
        return Promise::err(error);
    }
    let answer = request.send().promise;
    Promise::from_future(async move {
        // Counted for as long as they are held: a copy waits with the call.
        let answer = {
            let _counted = params;
            answer.await?
        };
        let content = answer.get()?;
        if content.target_size()?.cap_count == 0 {
            return results.get()?.set_as(content);
        }
        let covered = Message::copy(content)?.returned(&boundary);
        results.get()?.set_as(covered.reader()?)
    })
}

/// Waits until `hook` has resolved to the end, or for too long.
pub(super) fn when_resolved(mut hook: Box<dyn ClientHook>) -> Promise<(), Error> {
    Promise::from_future(async move {
        for _ in 0..=RESOLUTIONS {
            match hook.when_more_resolved() {
                Some(resolution) => hook = resolution.await?,
                None => return Ok(()),
            }
        }
        Err(Error::failed(format!(
            "promise resolved {RESOLUTIONS} times without settling"
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fall;
    use crate::hook::cross::{Direction, cross};

    /// Something that says it is at an address, and whatever it resolves to, if it
    /// is a promise.
    #[derive(Clone)]
    struct At(usize, Option<Rc<OnceCell<Self>>>);

    impl ClientHook for At {
        fn add_ref(&self) -> Box<dyn ClientHook> {
            Box::new(self.clone())
        }
        fn new_call(
            &self,
            _: u64,
            _: u16,
            _: Option<MessageSize>,
        ) -> Request<any_pointer::Owned, any_pointer::Owned> {
            Request::new(broken::request(Error::failed("nobody is there".into())))
        }
        fn call(
            &self,
            _: u64,
            _: u16,
            _: Box<dyn ParamsHook>,
            _: Box<dyn ResultsHook>,
        ) -> Promise<(), Error> {
            Promise::err(Error::failed("nobody is there".into()))
        }
        fn get_brand(&self) -> usize {
            0
        }
        fn get_ptr(&self) -> usize {
            self.0
        }
        fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
            self.1.as_ref()?.get().map(Self::add_ref)
        }
        fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
            self.1
                .as_ref()
                .map(|_| Promise::from_future(std::future::pending()))
        }
        fn when_resolved(&self) -> Promise<(), Error> {
            Promise::ok(())
        }
    }

    #[test]
    fn what_is_where_a_promise_was_that_has_gone_back_is_not_taken_for_it() {
        let session = Boundary::new(None, None);
        let connection = Boundary::new(None, None);
        let out = |hook| cross(&connection, Direction::Outward, hook);
        let end = Rc::new(OnceCell::new());
        let promise = At(7, Some(end.clone()));
        let back = Returned::cover(promise.add_ref(), &session);
        let again = Returned::cover(promise.add_ref(), &session);
        assert_eq!(back.get_ptr(), again.get_ptr(), "it is the same promise");
        assert_eq!(session.root().covers().len(), 1);
        let known = out(back.add_ref());
        let _ = end.set(At(8, None));
        session.end(Fall::Revoked(Error::disconnected("revoked".into())));
        drop(promise);
        assert_eq!(Rc::strong_count(&end), 1, "nobody holds the promise");
        assert_eq!(session.root().covers().len(), 0);

        let next = At(7, None);
        assert_ne!(known.get_ptr(), out(next.add_ref()).get_ptr());
    }
}
