use std::cell::{Cell, OnceCell, RefCell};
use std::iter;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use capnp::Error;
use slab::Slab;
use ww_rpc::{Panics, drop_later};

use crate::epoch::Enrolment;
use crate::hook::cross::Direction;
use crate::hook::hold::afresh;
use crate::hook::place::{Place, Release};
use crate::hook::registry::{Registry, Root};
use crate::ledger::Ledger;
use crate::signal::Signal;
use crate::thread;
use crate::{Call, Fall, Guard, Held, Method, Passage, Policy, Verdict};

/// The state of one membrane: whether it stands, and what is held across it.
pub(crate) struct Boundary {
    this: Weak<Self>,
    root: Rc<Root>,
    /// Whether it leaves to other boundaries what they have let out.
    outermost: bool,
    /// Falls before this one does, and is asked before it.
    parent: Option<Rc<Self>>,
    guard: Option<Guard>,
    policy: Option<Box<dyn Policy>>,
    /// At its parent's.
    place_above: OnceCell<Place>,
    /// Set once, when the boundary falls.
    ended: OnceCell<Fall>,
    pub(super) registry: RefCell<Registry>,
    /// What can be seen of the boundary beyond what is alive.
    ledger: Ledger,
    /// What must let go when the boundary falls, wrappers aside.
    holders: RefCell<Slab<Weak<dyn Release>>>,
    /// How many of them are boundaries below this one.
    children: Cell<usize>,
    /// Wakes the calls in flight.
    signal: Arc<Signal>,
    /// With the epochs of its own guard and of those above. Taken when all has
    /// been released.
    enrolments: Cell<Vec<Enrolment>>,
    place: thread::Place,
}

impl Boundary {
    pub(crate) fn new(guard: Option<Guard>, policy: Option<Box<dyn Policy>>) -> Rc<Self> {
        Self::below(None, false, guard, policy)
    }

    pub(crate) fn outermost() -> Rc<Self> {
        Self::below(None, true, None, None)
    }

    /// A boundary that shares the parent's root and falls with it.
    pub(crate) fn child(
        parent: &Rc<Self>,
        guard: Option<Guard>,
        policy: Option<Box<dyn Policy>>,
    ) -> Rc<Self> {
        let child = Self::below(Some(parent.clone()), false, guard, policy);
        let held: Weak<Self> = Rc::downgrade(&child);
        let _ = child.place_above.set(parent.hold(held));
        parent.children.update(|children| children + 1);
        child
    }

    fn below(
        parent: Option<Rc<Self>>,
        outermost: bool,
        guard: Option<Guard>,
        policy: Option<Box<dyn Policy>>,
    ) -> Rc<Self> {
        let root = match &parent {
            Some(parent) => parent.root.clone(),
            None => Root::new(),
        };
        let signal = Arc::<Signal>::default();
        // Whoever waits here must hear of the epochs above, too: what is above
        // falls when it is asked, and nobody may be there to ask it.
        let above = iter::successors(parent.as_ref(), |below| below.parent.as_ref());
        let guards = above.filter_map(|above| above.guard.as_ref());
        let enrol = |guard: &Guard| {
            guard
                .epochs()
                .enrol(guard.issued(), signal.clone(), thread::signal())
        };
        let enrolments = guards.chain(&guard).map(enrol).collect();
        Rc::new_cyclic(|this| Self {
            this: this.clone(),
            root,
            outermost,
            parent,
            place_above: OnceCell::new(),
            guard,
            policy,
            ended: OnceCell::new(),
            registry: RefCell::default(),
            ledger: Ledger::default(),
            holders: RefCell::default(),
            children: Cell::new(0),
            signal,
            enrolments: Cell::new(enrolments),
            place: thread::enter(this.clone()),
        })
    }

    /// Refuses once the boundary has fallen. Notices that the epoch has
    /// passed, and then falls before it answers; what it held is released when the
    /// poll is over that a vat of this thread is in.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.stands() {
            return Ok(());
        }
        match self.fall() {
            Some(fall) => Err(fall.error()),
            None => Ok(()),
        }
    }

    /// Why it has fallen. Notices it like [`check`](Self::check).
    pub(crate) fn fall(&self) -> Option<&Fall> {
        if let Some(fall) = self.ended.get() {
            return Some(fall);
        }
        let stale = self.guard.as_ref().and_then(Guard::fall);
        let fall = stale.or_else(|| self.parent.as_ref()?.fall().cloned())?;
        // Where the parent has just fallen, this one may have fallen with it.
        if self.ended.set(fall).is_ok() {
            match self.this.upgrade() {
                // A connection may be asking, with its tables borrowed, whose peer
                // may be called.
                Some(this) => drop_later(Fallen(this)),
                None => self.let_go(),
            }
        }
        self.ended.get()
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
        let above = self.parent.as_ref();
        self.policy.is_some() || above.is_some_and(|above| above.has_policy())
    }

    /// Whether it stands, and will for as long as nobody on this thread has it fall,
    /// and no policy has a say.
    pub(super) fn is_open(&self) -> bool {
        self.stands() && !self.is_guarded() && !self.has_policy()
    }

    /// What its policies know of the method of `call`.
    pub(super) fn method(&self, call: &Call) -> Option<Method> {
        let known = self.policy.as_ref().and_then(|policy| policy.method(call));
        known.or_else(|| self.parent.as_ref()?.method(call))
    }

    /// Whether [`weigh`](Self::weigh) has anything to say.
    pub(super) fn weighs(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.weighs())
            || self.parent.as_ref().is_some_and(|parent| parent.weighs())
    }

    /// Shows its policies a message that is about to cross.
    ///
    /// # Errors
    ///
    /// It may not, or the boundary has fallen.
    pub(super) fn weigh(&self, passage: &Passage) -> Result<(), Error> {
        if let Some(parent) = &self.parent {
            parent.weigh(passage)?;
        }
        match &self.policy {
            Some(policy) if policy.weighs() => {
                policy.weigh(passage)?;
                self.check()
            }
            _ => Ok(()),
        }
    }

    /// Whether it can fall without anybody on this thread having it fall.
    pub(super) fn is_guarded(&self) -> bool {
        let above = self.parent.as_ref();
        self.guard.is_some() || above.is_some_and(|above| above.is_guarded())
    }

    pub(crate) fn policy(&self) -> Option<&dyn Policy> {
        self.policy.as_deref()
    }

    /// What its policies do, in their own words.
    pub(crate) fn describe(&self) -> Option<String> {
        let own = self.policy.as_ref().map(|policy| policy.describe());
        let above = self.parent.as_ref().and_then(|parent| parent.describe());
        match (above, own) {
            (Some(above), Some(own)) => Some(format!("{above}; {own}")),
            (above, own) => above.or(own),
        }
    }

    /// The epoch that it was issued under.
    pub(crate) fn issued(&self) -> Option<u64> {
        let own = self.guard.as_ref().map(Guard::issued);
        own.or_else(|| self.parent.as_ref()?.issued())
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What is held across it, the oldest first.
    pub(crate) fn list(&self) -> Vec<Held> {
        let mut held: Vec<Held> = self.registry.borrow().list().collect();
        held.sort_unstable_by_key(|held| held.id);
        held
    }

    /// Whether a call would be admitted. Changes nothing.
    pub(crate) fn stands(&self) -> bool {
        self.ended.get().is_none()
            && self.guard.as_ref().is_none_or(Guard::is_current)
            && self.parent.as_ref().is_none_or(|parent| parent.stands())
    }

    /// Falls, unless it already has. No borrow is held while foreign code
    /// runs, and where that panics it falls all the same.
    pub(crate) fn end(&self, fall: Fall) {
        if self.ended.set(fall).is_ok() {
            self.let_go();
        }
    }

    fn let_go(&self) {
        let mut panics = Panics::default();
        afresh(|| self.release_all(&mut panics));
        panics.contain(|| self.signal.fire());
        drop(self.enrolments.take());
        panics.contain(|| self.ledger.emptied());
        panics.resume();
    }

    fn release_all(&self, panics: &mut Panics) {
        let wrapped = self.registry.take().into_wrapped();
        let holders = self.holders.take();
        for wrapped in wrapped {
            self.root.remove(&wrapped);
            wrapped.close();
            panics.contain(|| wrapped.release());
        }
        let holders: Vec<_> = holders
            .iter()
            .filter_map(|(_, holder)| holder.upgrade())
            .collect();
        for holder in &holders {
            panics.contain(|| holder.release());
        }
        for holder in holders {
            panics.contain(|| holder.wake());
        }
    }

    /// How many wrappers are alive.
    pub(crate) fn held(&self) -> usize {
        self.registry.borrow().len()
    }

    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Nobody tells a holder that comes after the fall, so it has to ask.
    pub(super) fn hold(self: &Rc<Self>, holder: Weak<dyn Release>) -> Place {
        let key = match self.ended.get() {
            // It would not be given back.
            Some(_) => usize::MAX,
            None => self.holders.borrow_mut().insert(holder),
        };
        Place::new(self.clone(), key)
    }

    /// Takes back the place of a holder.
    pub(super) fn take_back(self: &Rc<Self>, key: usize) {
        // Once it has fallen, places mean nothing.
        if self.ended.get().is_none() {
            self.holders.borrow_mut().try_remove(key);
            self.look();
        }
    }

    /// Tells those who wait for it to hold nothing if that is so now: no capability,
    /// and no call that goes on.
    pub(super) fn look(self: &Rc<Self>) {
        if self.ledger.is_awaited() && self.is_idle() {
            // A peer may be letting go of it, whom they may call.
            drop_later(Look(self.clone()));
        }
    }

    /// Whether it stands and holds nothing. What waits for it to fall is told then.
    fn is_idle(&self) -> bool {
        self.ended.get().is_none()
            && self.held() == 0
            && self.holders.borrow().len() == self.children.get()
    }

    pub(super) fn is_outermost(&self) -> bool {
        self.outermost
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }
}

/// Releases what a boundary held that has fallen.
struct Fallen(Rc<Boundary>);

impl Drop for Fallen {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

/// Tells those who wait for a boundary to hold nothing, if it does.
struct Look(Rc<Boundary>);

impl Drop for Look {
    fn drop(&mut self) {
        if self.0.is_idle() {
            self.0.ledger.emptied();
        }
    }
}

impl Release for Boundary {
    /// Falls with its parent, whose revoking is over when all is let go of.
    fn release(&self) {
        let above = self.parent.as_ref();
        if let Some(fall) = above.and_then(|above| above.fall()) {
            self.end(fall.clone());
        }
    }
}

impl Drop for Boundary {
    fn drop(&mut self) {
        thread::leave(self.place);
        if let Some(parent) = &self.parent {
            parent.children.update(|children| children - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_fall_is_not_kept() {
        let boundary = Boundary::new(None, None);
        boundary.end(Fall::Revoked(Error::failed("fell".into())));
        for _ in 0..10 {
            let child = Boundary::child(&boundary, None, None);
            assert!(child.check().is_err());
        }
        assert!(boundary.holders.borrow().is_empty());
    }
}
