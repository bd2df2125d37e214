use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use capnp::Error;
use slab::Slab;

use crate::epoch::Enrolment;
use crate::hook::cross::Direction;
use crate::hook::registry::{Registry, Root};
use crate::signal::Signal;
use crate::thread;
use crate::{Call, Guard, Method, Policy, Verdict};

/// The state of one membrane: whether it stands, and what is held across it.
pub(crate) struct Boundary {
    root: Rc<Root>,
    /// Falls before this one does, and is asked before it.
    parent: Option<Rc<Self>>,
    guard: Option<Guard>,
    policy: Option<Box<dyn Policy>>,
    /// Its place among what its parent holds.
    held: Cell<usize>,
    /// Set once, when the boundary falls.
    ended: OnceCell<Error>,
    pub(super) registry: RefCell<Registry>,
    /// What must let go when the boundary falls, wrappers aside.
    holders: RefCell<Slab<Weak<dyn Release>>>,
    /// Wakes the calls in flight.
    signal: Arc<Signal>,
    /// Taken when all has been released.
    enrolment: Cell<Option<Enrolment>>,
    place: thread::Place,
}

/// Something that holds references to the inside.
pub(super) trait Release {
    /// Lets go of them. Runs foreign `Drop`s, which may wrap, call or revoke.
    fn release(&self);
}

impl Boundary {
    pub(crate) fn new(guard: Option<Guard>, policy: Option<Box<dyn Policy>>) -> Rc<Self> {
        Self::below(None, guard, policy)
    }

    /// A boundary that shares the parent's root and falls with it.
    pub(crate) fn child(
        parent: &Rc<Self>,
        guard: Option<Guard>,
        policy: Option<Box<dyn Policy>>,
    ) -> Rc<Self> {
        let child = Self::below(Some(parent.clone()), guard, policy);
        let held: Weak<Self> = Rc::downgrade(&child);
        child.held.set(parent.hold(held));
        child
    }

    fn below(
        parent: Option<Rc<Self>>,
        guard: Option<Guard>,
        policy: Option<Box<dyn Policy>>,
    ) -> Rc<Self> {
        let root = match &parent {
            Some(parent) => parent.root.clone(),
            None => Rc::default(),
        };
        let signal = Arc::<Signal>::default();
        let enrolment = guard.as_ref().map(|guard| {
            guard
                .epochs()
                .enrol(guard.issued(), signal.clone(), thread::signal())
        });
        Rc::new_cyclic(|this| Self {
            root,
            parent,
            held: Cell::new(0),
            guard,
            policy,
            ended: OnceCell::new(),
            registry: RefCell::default(),
            holders: RefCell::default(),
            signal,
            enrolment: Cell::new(enrolment),
            place: thread::enter(this.clone()),
        })
    }

    /// Refuses once the boundary has fallen. Notices that the epoch has
    /// passed, and then falls before it answers.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if let Some(error) = self.ended.get() {
            return Err(error.clone());
        }
        let stale = match &self.guard {
            Some(guard) => guard.check().map_err(Error::from),
            None => Ok(()),
        };
        let fallen = stale.and_then(|()| match &self.parent {
            Some(parent) => parent.check(),
            None => Ok(()),
        });
        // Where the parent has just fallen, this one has fallen with it.
        fallen.or_else(|error| {
            self.end(error);
            match self.ended.get() {
                Some(error) => Err(error.clone()),
                None => Ok(()),
            }
        })
    }

    /// What the policy says of a call on a capability that has crossed in this
    /// direction.
    ///
    /// # Errors
    ///
    /// The boundary has fallen.
    pub(super) fn judge(&self, crossed: Direction, call: &Call) -> Result<Verdict, Error> {
        self.check()?;
        if !self.has_policy() {
            return Ok(Verdict::pass());
        }
        let verdict = self.ask(crossed, call);
        // The policy may have made it fall.
        self.check().map(|()| verdict)
    }

    fn ask(&self, crossed: Direction, call: &Call) -> Verdict {
        let own = || match (&self.policy, crossed) {
            (None, _) => Verdict::pass(),
            (Some(policy), Direction::Outward) => policy.inbound(call),
            (Some(policy), Direction::Inward) => policy.outbound(call),
        };
        match &self.parent {
            Some(parent) => parent.ask(crossed, call).and(own),
            None => own(),
        }
    }

    fn has_policy(&self) -> bool {
        self.policy.is_some()
            || self
                .parent
                .as_ref()
                .is_some_and(|parent| parent.has_policy())
    }

    /// What its policies know of the method of `call`.
    pub(super) fn method(&self, call: &Call) -> Option<Method> {
        let known = self.policy.as_ref().and_then(|policy| policy.method(call));
        known.or_else(|| self.parent.as_ref()?.method(call))
    }

    /// Whether a call would be admitted. Changes nothing.
    pub(crate) fn stands(&self) -> bool {
        self.ended.get().is_none()
            && self.guard.as_ref().is_none_or(Guard::is_current)
            && self.parent.as_ref().is_none_or(|parent| parent.stands())
    }

    /// Falls, unless it already has. No borrow is held while foreign code
    /// runs.
    pub(crate) fn end(&self, error: Error) {
        if self.ended.set(error).is_err() {
            return;
        }
        let wrapped = self.registry.take().into_wrapped();
        let holders = self.holders.take();
        for wrapped in wrapped {
            self.root.remove(&wrapped);
            wrapped.release();
        }
        for (_, holder) in holders {
            if let Some(holder) = holder.upgrade() {
                holder.release();
            }
        }
        self.signal.fire();
        drop(self.enrolment.take());
    }

    /// How many wrappers are alive.
    pub(crate) fn held(&self) -> usize {
        self.registry.borrow().len()
    }

    pub(super) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    pub(super) fn hold(&self, holder: Weak<dyn Release>) -> usize {
        self.holders.borrow_mut().insert(holder)
    }

    /// Gives back what [`hold`](Self::hold) answered.
    pub(super) fn let_go(&self, place: usize) {
        // Once the boundary has fallen, places mean nothing.
        if self.ended.get().is_none() {
            self.holders.borrow_mut().try_remove(place);
        }
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }
}

impl Release for Boundary {
    /// Falls with its parent.
    fn release(&self) {
        let _ = self.check();
    }
}

impl Drop for Boundary {
    fn drop(&mut self) {
        thread::leave(self.place);
        if let Some(parent) = &self.parent {
            parent.let_go(self.held.get());
        }
    }
}
