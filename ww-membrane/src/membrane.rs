use std::fmt;
use std::rc::{Rc, Weak};

use capnp::capability::FromClientHook;

use crate::hook::{Boundary, Message, cross};
use crate::{Authority, Direction, Fall, Fallen, Guard, Policy};

/// A boundary between an inside and an outside, on one thread.
///
/// What is wrapped stays inside; its wrapper is handed out. Every call through
/// the wrapper asks whether the membrane still stands, and every capability
/// that crosses with a call is wrapped in turn: those in answers and pipelines
/// on their way out, those in parameters on their way in. A capability that
/// comes back to where it is from is unwrapped to the original.
///
/// A capability may pass several membranes. Behind some 60 it is broken, lest
/// somebody has it go round until a call needs more stack than there is.
///
/// A membrane falls when its guard's epoch passes or when it is revoked.
/// Clones are the same membrane. Dropping it does not revoke: wrappers keep
/// what they need.
#[derive(Clone)]
pub struct Membrane {
    boundary: Rc<Boundary>,
}

impl Membrane {
    /// A membrane that stands as long as `guard`'s epoch is current.
    pub fn new(guard: Guard) -> Self {
        let this = Self {
            boundary: Boundary::new(Some(guard), None),
        };
        this.noticed()
    }

    /// A membrane that stands until it is revoked by hand.
    pub fn ungated() -> Self {
        Self {
            boundary: Boundary::new(None, None),
        }
    }

    /// A membrane that stands until it is revoked by hand, and puts each call
    /// to `policy`.
    pub fn policed(policy: impl Policy) -> Self {
        Self::joined(Boundary::new(None, Some(Box::new(policy))))
    }

    /// A membrane that stands as long as `guard`'s epoch is current, and puts
    /// each call to `policy`.
    pub fn policed_until(guard: Guard, policy: impl Policy) -> Self {
        Self::joined(Boundary::new(Some(guard), Some(Box::new(policy))))
    }

    /// A membrane for all that a host exchanges with one peer, whatever other
    /// membranes it gives things out by: it stands between that peer and the
    /// host's code, and leaves alone what another membrane has let out, as that
    /// stands there already. Revoking it leaves such things be.
    pub fn outermost() -> Self {
        Self {
            boundary: Boundary::outermost(),
        }
    }

    fn joined(boundary: Rc<Boundary>) -> Self {
        let this = Self { boundary };
        if let Some(policy) = this.boundary.policy() {
            policy.joined(&this);
        }
        this.noticed()
    }

    /// Lets it fall now where its epoch had passed before it was made: nobody
    /// will tell of that again.
    fn noticed(self) -> Self {
        let _ = self.check();
        self
    }

    /// A membrane within this one: it falls when this one does, and may fall
    /// before. Each call is put to this one's policy and then to `policy`.
    ///
    /// All membranes that were made from one by `child`, and that one itself,
    /// have the same inside and outside, and know each other's capabilities:
    /// what one of them let out, any of them unwraps when it comes back in. So
    /// where the inside gives such a capability out again by another of them,
    /// that one's policy is all that it is behind: what has to stay behind this
    /// one's goes through a membrane of its own, made by
    /// [`policed`](Self::policed), which none of them sees through.
    pub fn child(&self, policy: impl Policy) -> Self {
        let policy = Some(Box::new(policy) as _);
        Self::joined(Boundary::child(&self.boundary, None, policy))
    }

    /// The same for a membrane that also falls when `guard`'s epoch passes.
    pub fn child_until(&self, guard: Guard, policy: impl Policy) -> Self {
        let policy = Some(Box::new(policy) as _);
        Self::joined(Boundary::child(&self.boundary, Some(guard), policy))
    }

    /// Wraps an inside capability for those outside.
    ///
    /// The same capability gives the same wrapper while one is alive. If the
    /// membrane has fallen, the answer is a capability that fails every call.
    pub fn wrap<C: FromClientHook>(&self, inside: C) -> C {
        C::new(cross(
            &self.boundary,
            Direction::Outward,
            inside.into_client_hook(),
        ))
    }

    /// Wraps an outside capability for those inside.
    pub fn wrap_reverse<C: FromClientHook>(&self, outside: C) -> C {
        C::new(cross(
            &self.boundary,
            Direction::Inward,
            outside.into_client_hook(),
        ))
    }

    /// Makes the membrane fall, with `error` for whoever uses it from now on.
    /// Does nothing if it already has.
    ///
    /// Before this returns, the futures of calls in flight are dropped,
    /// references to what was wrapped are released, and callers are woken to
    /// see `error`. A call that fails this way may have been executed. One
    /// thing outlives it: a request that was built and not sent keeps its
    /// target until it is sent, which fails, or dropped.
    pub fn revoke(&self, error: capnp::Error) {
        self.boundary.end(Fall::Revoked(error));
    }

    /// Refuses once the membrane has fallen.
    ///
    /// # Errors
    ///
    /// What every call through the membrane fails with.
    pub fn check(&self) -> Result<(), capnp::Error> {
        self.boundary.check()
    }

    /// Why the membrane has fallen, once it has.
    pub fn fall(&self) -> Option<Fall> {
        self.boundary.fall().cloned()
    }

    /// Waits until the membrane has fallen, and answers why.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn fallen(&self) -> Fallen {
        Fallen::new(self.boundary.clone())
    }

    /// How many capabilities are held across the membrane, in both directions.
    pub fn held(&self) -> usize {
        self.boundary.held()
    }

    /// What is held across the membrane and what was called, as data. What is
    /// held across a [`child`](Self::child), that lists itself.
    pub fn authority(&self) -> Authority {
        let fall = self.fall();
        Authority {
            epoch: self.boundary.issued(),
            policy: self.boundary.describe(),
            fall,
            held: self.boundary.list(),
            past: self.boundary.ledger().past(),
        }
    }

    /// Calls `then` once: when the last capability that is held across the
    /// membrane is gone, and the last call through it is over, or the membrane has
    /// fallen; at once where it has. If nothing is held now, something must come
    /// first. While a vat of this thread is polled it waits for the end of that, and
    /// for what is held by then.
    pub fn when_empty(&self, then: impl FnOnce() + 'static) {
        match self.fall() {
            // Nothing will ever come again.
            Some(_) => then(),
            None => self.boundary.ledger().wait(Box::new(then)),
        }
    }

    pub(crate) fn downgrade(&self) -> WeakMembrane {
        WeakMembrane(Rc::downgrade(&self.boundary))
    }

    pub(crate) fn carry_out(&self, message: &mut Message) -> Result<(), capnp::Error> {
        message.cross(&self.boundary, Direction::Outward)
    }
}

/// A membrane, if something else keeps it.
#[derive(Clone)]
pub(crate) struct WeakMembrane(Weak<Boundary>);

impl WeakMembrane {
    pub(crate) fn upgrade(&self) -> Option<Membrane> {
        self.0.upgrade().map(|boundary| Membrane { boundary })
    }
}

impl fmt::Debug for Membrane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membrane")
            .field("stands", &self.boundary.stands())
            .field("held", &self.boundary.held())
            .finish_non_exhaustive()
    }
}
