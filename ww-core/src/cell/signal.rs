use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};

use futures::task::AtomicWaker;

/// Which parts of a cell have something to do.
///
/// A cell's future has a few fixed parts, each with a waker of its own, so
/// that an event polls only the part it concerns. A part that is woken while
/// the cell is being polled runs in the same turn: a guest's call is answered
/// without a trip through the executor.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    /// Bits of the parts that were woken, and `POLLING`.
    bits: AtomicU8,
    parent: AtomicWaker,
}

/// Set while the cell is polled: whoever wakes a part then need not wake the
/// executor, because the poll looks again before it returns.
const POLLING: u8 = 1 << 7;

impl Signal {
    /// Begins a poll on behalf of the task `waker` belongs to.
    pub(crate) fn enter(&self, waker: &Waker) {
        self.parent.register(waker);
        self.bits.fetch_or(POLLING, Ordering::AcqRel);
    }

    /// Takes the parts that were woken.
    pub(crate) fn take(&self) -> u8 {
        self.bits.swap(POLLING, Ordering::AcqRel) & !POLLING
    }

    /// Takes `part` alone, and tells whether it was woken.
    pub(crate) fn take_part(&self, part: u8) -> bool {
        self.bits.fetch_and(!part, Ordering::AcqRel) & part != 0
    }

    /// Ends a poll. Parts woken meanwhile are served by another poll.
    pub(crate) fn leave(&self) {
        if self.bits.fetch_and(!POLLING, Ordering::AcqRel) != POLLING {
            self.parent.wake();
        }
    }

    /// Marks `part` as having something to do.
    pub(crate) fn raise(&self, part: u8) {
        let before = self.bits.fetch_or(part, Ordering::AcqRel);
        if before & (part | POLLING) == 0 {
            self.parent.wake();
        }
    }

    /// A waker that raises `part`.
    pub(crate) fn waker(self: &Arc<Self>, part: u8) -> Waker {
        Waker::from(Arc::new(Part {
            signal: self.clone(),
            part,
        }))
    }
}

struct Part {
    signal: Arc<Signal>,
    part: u8,
}

impl Wake for Part {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.signal.raise(self.part);
    }
}
