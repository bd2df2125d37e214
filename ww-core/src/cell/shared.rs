use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::future::LocalBoxFuture;
use ww_image::Image;

use super::limits::{Limit, Limits};
use super::local::Local;
use super::meter::{Meter, Usage};
use super::signal::Signal;
use super::sources::Sources;
use crate::error::Error;

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
    killed: AtomicBool,
    /// Errands that the thread has not picked up; `None` once the cell ended.
    errands: Mutex<Option<Vec<Errand>>>,
    pub(crate) meter: Meter,
    /// Bytes of memory that the cell and those below it may hold.
    memory: usize,
    /// What they may spend of the processor's time; as long as can be, where that is
    /// not limited.
    cpu: Duration,
    /// The cell that it is a child of.
    above: OnceLock<Arc<Self>>,
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
    pub(crate) fn new(image: Option<Image>, sources: Sources, limits: &Limits) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            signal: Arc::default(),
            image,
            sources,
            killed: AtomicBool::new(false),
            errands: Mutex::new(Some(Vec::new())),
            meter: Meter::default(),
            memory: limits.memory,
            cpu: limits.cpu.unwrap_or(Duration::MAX),
            above: OnceLock::new(),
            slice: AtomicU64::new(0),
        }
    }

    /// Makes it a child of `parent`, before it starts.
    pub(super) fn belongs_to(&self, parent: &Arc<Self>) {
        let _ = self.above.set(parent.clone());
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
        self.meter.spent() >= self.cpu
    }

    /// Those it is below, the nearest first.
    fn above(&self) -> impl Iterator<Item = &Arc<Self>> {
        iter::successors(self.above.get(), |shared| shared.above.get())
    }

    /// Takes note of so many bytes more, and answers what the most of them was before.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`] where that is more than the cell may hold, or one that it is
    /// below. Nothing is noted then but that.
    pub(super) fn grow(&self, bytes: usize) -> Result<usize, Error> {
        let mut all = iter::once(self).chain(self.above().map(|above| &**above));
        let full = all.find(|one| bytes > one.memory.saturating_sub(one.meter.held()));
        if let Some(full) = full {
            // Both are told: whose limit it is, and who is refused.
            full.meter.refuse(Limit::Memory);
            self.meter.refuse(Limit::Memory);
            return Err(Error::Limit {
                limit: Limit::Memory,
                bound: full.memory as u64,
            });
        }
        for above in self.above() {
            above.meter.grew_below(bytes);
        }
        Ok(self.meter.grew(bytes))
    }

    /// Takes back what the last [`grow`](Self::grow) noted.
    pub(super) fn did_not_grow(&self, bytes: usize, peak: usize) {
        self.meter.did_not_grow(bytes, peak);
        for above in self.above() {
            above.meter.freed_below(bytes);
        }
    }

    /// Takes note that the guest's memory was freed.
    pub(super) fn freed(&self) {
        let bytes = self.meter.freed();
        for above in self.above() {
            above.meter.freed_below(bytes);
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
        self.shared.meter.ran(nanos);
        for above in self.shared.above() {
            above.meter.ran_below(nanos);
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
    use super::*;

    #[test]
    fn what_is_held_below_counts_above_until_it_is_given_back() {
        let cell = |memory| {
            let limits = Limits {
                memory,
                ..Limits::default()
            };
            Arc::new(Shared::new(None, Sources::default(), &limits))
        };
        let [top, middle, child] = [100, 80, 60].map(cell);
        middle.belongs_to(&top);
        child.belongs_to(&middle);
        let bound = |grown: Result<usize, Error>| match grown {
            Err(Error::Limit {
                limit: Limit::Memory,
                bound,
            }) => bound,
            other => panic!("{other:?}"),
        };
        assert_eq!(bound(child.grow(61)), 60);
        let peak = child.grow(50).expect("it fits");
        assert_eq!(bound(middle.grow(31)), 80);
        middle.grow(30).expect("it fits");
        assert_eq!(bound(top.grow(21)), 100);
        top.grow(20).expect("it fits");
        // Its own has room, and the next.
        assert_eq!(bound(child.grow(1)), 80);
        assert_eq!(middle.usage().refused, Some(Limit::Memory));
        child.did_not_grow(50, peak);
        assert_eq!(top.usage().memory_below, 30);
        middle.freed();
        middle.freed();
        assert_eq!(top.usage().memory_below, 0);
        assert_eq!(top.usage().memory, 20);
    }
}
