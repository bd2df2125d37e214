use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use capnp::Error;
use slab::Slab;

use crate::epoch::Enrolment;
use crate::hook::cross::Direction;
use crate::hook::registry::Registry;
use crate::signal::Signal;
use crate::thread;
use crate::{Call, Guard, Policy, Verdict};

/// The state of one membrane: whether it stands, and what is held across it.
pub(crate) struct Boundary {
    guard: Option<Guard>,
    policy: Option<Box<dyn Policy>>,
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
        let signal = Arc::<Signal>::default();
        let enrolment = guard.as_ref().map(|guard| {
            guard
                .epochs()
                .enrol(guard.issued(), signal.clone(), thread::signal())
        });
        Rc::new_cyclic(|this| Self {
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
        match &self.guard {
            Some(guard) if !guard.is_current() => match guard.check() {
                Ok(()) => Ok(()),
                Err(stale) => {
                    self.end(stale.into());
                    self.check()
                }
            },
            _ => Ok(()),
        }
    }

    /// What the policy says of a call on a capability that has crossed in this
    /// direction.
    ///
    /// # Errors
    ///
    /// The boundary has fallen.
    pub(super) fn judge(&self, crossed: Direction, call: &Call) -> Result<Verdict, Error> {
        self.check()?;
        let Some(policy) = &self.policy else {
            return Ok(Verdict::pass());
        };
        let verdict = match crossed {
            Direction::Outward => policy.inbound(call),
            Direction::Inward => policy.outbound(call),
        };
        // The policy may have made it fall.
        self.check().map(|()| verdict)
    }

    /// Whether a call would be admitted. Changes nothing.
    pub(crate) fn stands(&self) -> bool {
        self.ended.get().is_none() && self.guard.as_ref().is_none_or(Guard::is_current)
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

    /// Tells this boundary's wrappers from all other capabilities: no other
    /// boundary or connection has this address while this one lives.
    pub(super) fn brand(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

impl Drop for Boundary {
    fn drop(&mut self) {
        thread::leave(self.place);
    }
}
