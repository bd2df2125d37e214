use std::rc::Rc;

use capnp::capability::{Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

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
/// follows it to a bound.
pub(super) struct Returned {
    promise: Hold,
    /// Those of the same root.
    covers: Rc<()>,
}

impl Returned {
    /// `hook`, under cover where it is a promise of a peer's. Broken where too
    /// many are, those that hold `covers`.
    pub(super) fn cover(hook: Box<dyn ClientHook>, covers: &Rc<()>) -> Box<dyn ClientHook> {
        let Some(hook) = resolved(hook) else {
            return broken::endless();
        };
        // Those of this thread's own are in nobody else's hands.
        if hook.get_brand() == 0 || hook.when_more_resolved().is_none() {
            return hook;
        }
        // The root holds one itself.
        if Rc::strong_count(covers) > HELD {
            return broken::client(Error::overloaded(format!(
                "peer was given back {HELD} of its own promises that it has not resolved"
            )));
        }
        Box::new(Self {
            promise: Hold::new(hook),
            covers: covers.clone(),
        })
    }

    fn callee(&self) -> Box<dyn ClientHook> {
        resolved(self.promise.add_ref()).unwrap_or_else(broken::endless)
    }
}

impl ClientHook for Returned {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(Self {
            promise: Hold::new(self.promise.add_ref()),
            covers: self.covers.clone(),
        })
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
        self.promise.get_ptr()
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        let resolved = self.promise.get_resolved()?;
        Some(Self::cover(resolved, &self.covers))
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        // A promise that is asked after it has resolved never answers.
        if let Some(resolved) = self.get_resolved() {
            return Some(Promise::ok(resolved));
        }
        let resolution = self.promise.when_more_resolved()?;
        let covers = self.covers.clone();
        Some(Promise::from_future(async move {
            Ok(Self::cover(resolution.await?, &covers))
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
