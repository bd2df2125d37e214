use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use capnp::capability::{Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

use crate::hook::boundary::{Boundary, Release};
use crate::hook::broken;
use crate::hook::cross::{RESOLUTIONS, resolved};
use crate::hook::hold::Hold;

/// How many may be held of one root. Each can resolve to the next one, so what
/// holds the first may hold them all without knowing.
const HELD: usize = 4096;

/// A peer's promise that goes back to the side that it is from, as what it
/// resolves to.
///
/// A peer can resolve a promise to the answer of the very call that gives the
/// promise back, and capnp-rpc follows such a circle for ever. So no promise of
/// a peer's goes back bare: every circle leads through one of these, which
/// follows it to a bound, and opens it when its boundary falls: nobody else
/// could ever let go of what holds itself.
pub(super) struct Returned(Rc<Cover>);

/// What all references to a promise that has gone back share.
struct Cover {
    promise: RefCell<Hold>,
    /// Whether it is what the promise has resolved to by now.
    settled: Cell<bool>,
    ptr: usize,
    boundary: Rc<Boundary>,
    place: Cell<usize>,
    /// Those of the same root.
    _covers: Rc<()>,
}

impl Returned {
    /// `hook`, under cover where it is a promise of a peer's. Broken where too
    /// many are.
    pub(super) fn cover(hook: Box<dyn ClientHook>, boundary: &Rc<Boundary>) -> Box<dyn ClientHook> {
        let Some(hook) = resolved(hook) else {
            return broken::endless();
        };
        // Those of this thread's own are in nobody else's hands.
        if hook.get_brand() == 0 || hook.when_more_resolved().is_none() {
            return hook;
        }
        let covers = boundary.root().covers();
        // The root holds one itself.
        if Rc::strong_count(covers) > HELD {
            return broken::client(Error::overloaded(format!(
                "peer was given back {HELD} of its own promises that it has not resolved"
            )));
        }
        let cover = Rc::new(Cover {
            ptr: hook.get_ptr(),
            promise: RefCell::new(Hold::new(hook)),
            settled: Cell::new(false),
            boundary: boundary.clone(),
            place: Cell::new(0),
            _covers: covers.clone(),
        });
        let held: Weak<Cover> = Rc::downgrade(&cover);
        cover.place.set(boundary.hold(held));
        Box::new(Self(cover))
    }

    fn callee(&self) -> Box<dyn ClientHook> {
        resolved(self.0.promise()).unwrap_or_else(broken::endless)
    }
}

impl Cover {
    fn promise(&self) -> Box<dyn ClientHook> {
        self.promise.borrow().add_ref()
    }
}

impl Release for Cover {
    /// What went back outlives the boundary; only the way there does not.
    fn release(&self) {
        let end = resolved(self.promise()).unwrap_or_else(broken::endless);
        if end.when_more_resolved().is_some() {
            // It may become a circle yet, so it stays under cover.
            return;
        }
        let left = self.promise.replace(Hold::new(end));
        self.settled.set(true);
        drop(left);
    }
}

impl Drop for Cover {
    fn drop(&mut self) {
        self.boundary.let_go(self.place.get());
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
        self.callee().call(interface_id, method_id, params, results)
    }

    fn get_brand(&self) -> usize {
        0
    }

    fn get_ptr(&self) -> usize {
        self.0.ptr
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        let promise = self.0.promise();
        if self.0.settled.get() {
            return Some(promise);
        }
        Some(Self::cover(promise.get_resolved()?, &self.0.boundary))
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        // A promise that is asked after it has resolved never answers.
        if let Some(resolved) = self.get_resolved() {
            return Some(Promise::ok(resolved));
        }
        let resolution = self.0.promise().when_more_resolved()?;
        let boundary = self.0.boundary.clone();
        Some(Promise::from_future(async move {
            Ok(Self::cover(resolution.await?, &boundary))
        }))
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        when_resolved(self.add_ref())
    }
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
