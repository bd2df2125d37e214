use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;
use std::{iter, ptr};

use futures::future::LocalBoxFuture;
use ww_image::Image;

use super::berth::Berth;
use super::limits::{Limit, Limits};
use super::local::Local;
use super::meter::{Meter, Usage};
use super::outcome::Outcome;
use super::signal::Signal;
use super::sources::Sources;
use crate::error::Error;

/// How many cells there may be from one that is nobody's child down to the last one below
/// it. What a cell takes is noted at all above it.
pub(super) const LEVELS: usize = 64;

/// Something to do on a cell's thread.
pub(crate) type Errand = Box<dyn FnOnce(Local) -> LocalBoxFuture<'static, ()> + Send>;

/// What a cell's thread and those who hold the cell from elsewhere share.
pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(crate) signal: Arc<Signal>,
    /// What the cell sees at `/`, where that is an image.
    pub(crate) image: Option<Image>,
    /// Where its time and randomness are from.
    pub(crate) sources: Sources,
    /// Whether what it writes to standard error is told as events.
    pub(crate) tells: bool,
    killed: AtomicBool,
    /// Errands that the thread has not picked up; `None` once the cell ended.
    errands: Mutex<Option<Vec<Errand>>>,
    pub(crate) meter: Meter,
    pub(crate) limits: Limits,
    /// The cell that it is a child of.
    above: OnceLock<Arc<Self>>,
    /// What ended the guest: before the cell has ended, which waits for what the guest
    /// has written.
    pub(super) end: OnceLock<Error>,
    pub(crate) outcome: Outcome,
    /// When the guest's slice began, in ticks of the runtime's ticker.
    pub(crate) slice: AtomicU64,
}

/// The parts of a cell that are woken on their own.
pub(crate) mod part {
    /// The guest's code.
    pub(crate) const GUEST: u8 = 1;
    /// The RPC connection.
    pub(crate) const VAT: u8 = 1 << 1;
    /// Futures spawned on the cell's thread.
    pub(crate) const TASKS: u8 = 1 << 2;
    /// Kill, errands from other threads, and time that those below have used up.
    pub(crate) const CALL: u8 = 1 << 3;
    /// Not a part: the guest has used up its slice.
    pub(crate) const YIELD: u8 = 1 << 4;
    /// The end of the cell's time.
    pub(crate) const WALL: u8 = 1 << 5;
    /// All parts.
    pub(crate) const ALL: u8 = GUEST | VAT | TASKS | CALL | WALL;
}

impl Shared {
    pub(crate) fn new(
        image: Option<Image>,
        sources: Sources,
        tells: bool,
        limits: &Limits,
        outcome: Outcome,
    ) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            signal: Arc::default(),
            image,
            sources,
            tells,
            killed: AtomicBool::new(false),
            errands: Mutex::new(Some(Vec::new())),
            meter: Meter::default(),
            limits: *limits,
            above: OnceLock::new(),
            end: OnceLock::new(),
            outcome,
            slice: AtomicU64::new(0),
        }
    }

    /// Makes it the child that `berth` is for, before anything is taken for it.
    pub(super) fn belongs_to(&self, berth: Berth) {
        if let Some(parent) = berth.take() {
            let _ = self.above.set(parent);
        }
    }

    /// Counts the guest as busy until the answer is dropped.
    pub(super) fn run(&self) -> Busy<'_> {
        Busy {
            shared: self,
            since: Instant::now(),
        }
    }

    /// Whether the cell and those below it have used up their time.
    pub(super) fn is_spent(&self) -> bool {
        self.limits.cpu.is_some_and(|cpu| self.meter.spent() >= cpu)
    }

    /// Those it is below, the nearest first.
    pub(super) fn above(&self) -> impl Iterator<Item = &Arc<Self>> {
        iter::successors(self.above.get(), |shared| shared.above.get())
    }

    /// Takes so much more of what is bounded by `limit` for a cell with all those below it.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] where that is more than the cell may have, or one that it is below.
    /// Nothing is taken then.
    pub(super) fn take(&self, limit: Limit, amount: u64) -> Result<(), Error> {
        let mut all = iter::once(self).chain(self.above().map(|above| &**above));
        let full = all.find(|one| {
            let taken = one.meter.tally(limit).all();
            amount > one.limits.bound(limit).saturating_sub(taken)
        });
        if let Some(full) = full {
            // Both are told: who is refused, and whose limit it is.
            self.meter.refuse(limit);
            if !ptr::eq(full, self) {
                full.meter.refuse_below(limit);
            }
            return Err(full.limits.exceeded(limit));
        }
        self.meter.tally(limit).add(amount);
        for above in self.above() {
            above.meter.tally(limit).add_below(amount);
        }
        Ok(())
    }

    /// Gives back what was taken.
    pub(super) fn give(&self, limit: Limit, amount: u64) {
        self.meter.tally(limit).sub(amount);
        for above in self.above() {
            above.meter.tally(limit).sub_below(amount);
        }
    }

    /// Takes note of so many bytes of memory more, and answers what the most of it was
    /// before.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(super) fn grow(&self, bytes: usize) -> Result<u64, Error> {
        self.take(Limit::Memory, bytes as u64)?;
        Ok(self.meter.peaked())
    }

    /// Takes back what the last [`grow`](Self::grow) noted.
    pub(super) fn did_not_grow(&self, bytes: usize, peak: u64) {
        self.give(Limit::Memory, bytes as u64);
        self.meter.did_not_peak(peak);
    }

    /// Takes so many bytes of scratch space more.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(crate) fn write(&self, bytes: u64) -> Result<(), Error> {
        self.take(Limit::Scratch, bytes)
    }

    /// Gives scratch space back.
    pub(crate) fn erase(&self, bytes: u64) {
        self.give(Limit::Scratch, bytes);
    }

    /// Takes note that all that was the guest's was freed.
    pub(super) fn freed(&self) {
        for limit in [Limit::Memory, Limit::Scratch] {
            self.give(limit, self.meter.tally(limit).own());
        }
    }

    pub(crate) fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.signal.raise(part::CALL);
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Leaves an errand for the cell's thread; gives it back when the cell
    /// has ended.
    pub(crate) fn send(&self, errand: Errand) -> Result<(), Errand> {
        match &mut *self.errands.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(errands) => errands.push(errand),
            None => return Err(errand),
        }
        self.signal.raise(part::CALL);
        Ok(())
    }

    pub(crate) fn take_errands(&self) -> Vec<Errand> {
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        errands.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether the cell takes no more errands.
    pub(crate) fn has_ended(&self) -> bool {
        let errands = self.errands.lock();
        errands.unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes no more errands, and drops those not picked up.
    pub(crate) fn close(&self) {
        let left = self
            .errands
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if left.is_some()
            && let Some(parent) = self.above.get()
        {
            parent.give(Limit::Children, 1);
        }
        drop(left);
    }

    pub(crate) fn usage(&self) -> Usage {
        self.meter.usage()
    }
}

/// The guest runs.
pub(super) struct Busy<'a> {
    shared: &'a Shared,
    since: Instant,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.meter.busy.add(nanos);
        for above in self.shared.above() {
            above.meter.busy.add_below(nanos);
            if above.is_spent() {
                above.signal.raise(part::CALL);
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("killed", &self.is_killed())
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    fn belongs(child: &Shared, parent: &Arc<Shared>) -> Result<(), Error> {
        Berth::below(parent).map(|berth| child.belongs_to(berth))
    }

    fn cell(limits: impl FnOnce(&mut Limits)) -> Arc<Shared> {
        let mut own = Limits::default();
        limits(&mut own);
        let (_, outcome) = Outcome::new();
        Arc::new(Shared::new(None, Sources::default(), false, &own, outcome))
    }

    fn bound<T: fmt::Debug>(taken: Result<T, Error>) -> u64 {
        match taken {
            Err(Error::Limit { bound, .. }) => bound,
            other => panic!("{other:?}"),
        }
    }

    fn family(bounds: [usize; 3]) -> [Arc<Shared>; 3] {
        let all = bounds.map(|bound| {
            cell(|limits| {
                limits.memory = bound;
                limits.scratch = bound as u64;
            })
        });
        belongs(&all[1], &all[0]).expect("there is room");
        belongs(&all[2], &all[1]).expect("there is room");
        all
    }

    #[test]
    fn what_is_held_below_counts_above_until_it_is_given_back() {
        let [top, middle, child] = family([100, 80, 60]);
        assert_eq!(bound(child.grow(61)), 60);
        let peak = child.grow(50).expect("it fits");
        assert_eq!(bound(middle.grow(31)), 80);
        middle.grow(30).expect("it fits");
        assert_eq!(bound(top.grow(21)), 100);
        top.grow(20).expect("it fits");
        // Its own has room, and the next.
        assert_eq!(bound(child.grow(1)), 80);
        assert_eq!(middle.usage().refused_below, Some(Limit::Memory));
        child.did_not_grow(50, peak);
        assert_eq!(top.usage().memory_below, 30);
        middle.freed();
        middle.freed();
        assert_eq!(top.usage().memory_below, 0);
        assert_eq!(top.usage().memory, 20);
    }

    #[test]
    fn what_is_written_below_counts_above_until_it_is_erased_or_its_cell_gone() {
        let [top, middle, child] = family([100, 100, 60]);
        child.write(60).expect("it fits");
        assert_eq!(bound(child.write(1)), 60);
        assert_eq!(bound(middle.write(41)), 100);
        assert_eq!(middle.usage().refused, Some(Limit::Scratch));
        assert_eq!(top.usage().refused, None);
        child.erase(20);
        middle.write(41).expect("it fits");
        assert_eq!(top.usage().scratch_below, 81);
        child.freed();
        assert_eq!(top.usage().scratch_below, 41);
        assert_eq!(top.usage().memory_below, 0);
    }

    #[test]
    fn those_below_a_child_count_as_well_until_they_end() {
        let [top, child] = [2, 64].map(|most| cell(|limits| limits.children = most));
        belongs(&child, &top).expect("the first");
        let [second, third] = [(); 2].map(|()| cell(|_| {}));
        belongs(&second, &child).expect("the second");
        assert_eq!(bound(belongs(&third, &child)), 2);
        assert_eq!(top.usage().children, 2);
        // Nobody counts one that was refused.
        third.close();
        assert_eq!(top.usage().children, 2);
        second.close();
        second.close();
        assert_eq!(top.usage().children, 1);
        belongs(&cell(|_| {}), &child).expect("there is room again");
        child.close();
        let late = belongs(&cell(|_| {}), &child);
        assert!(matches!(late, Err(Error::Ended { .. })), "{late:?}");
    }

    #[test]
    fn a_family_is_so_deep_at_the_most() {
        let wide = || cell(|limits| limits.children = usize::MAX);
        let mut last = wide();
        for _ in 1..LEVELS {
            let next = wide();
            belongs(&next, &last).expect("it is not that deep");
            last = next;
        }
        let deeper = belongs(&wide(), &last);
        assert!(
            matches!(deeper, Err(Error::TooDeep { most: LEVELS })),
            "{deeper:?}"
        );
    }
}
