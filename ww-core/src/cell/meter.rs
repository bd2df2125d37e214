use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::limits::Limit;

/// What a cell has used until now, or until its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Time in which the guest's code, and host calls that it did not wait in,
    /// ran.
    pub busy: Duration,
    /// Linear memories and tables held now, in bytes.
    pub memory: usize,
    /// The most of them held at any time, in bytes.
    pub peak_memory: usize,
    /// The limit that was the last to refuse something: growth, scratch space,
    /// or the RPC connection. The guest was told and went on.
    pub refused: Option<Limit>,
}

/// Counts what a cell uses. Read from any thread.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    busy_nanos: AtomicU64,
    memory: AtomicUsize,
    peak_memory: AtomicUsize,
    /// The code of the limit that refused last, or 0.
    refused: AtomicU8,
}

impl Meter {
    pub(crate) fn ran(&self, busy: Duration) {
        let nanos = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_nanos.load(Ordering::Relaxed))
    }

    /// Notes that memories and tables grew by `bytes`, and says what the most
    /// of them was before.
    pub(crate) fn grew(&self, bytes: usize) -> usize {
        let now = self.memory.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak_memory.fetch_max(now, Ordering::Relaxed)
    }

    /// Takes back what the last [`grew`](Self::grew) noted.
    pub(crate) fn did_not_grow(&self, bytes: usize, peak: usize) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
        self.peak_memory.store(peak, Ordering::Relaxed);
    }

    /// Notes that the guest's memory was freed.
    pub(crate) fn freed(&self) {
        self.memory.store(0, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, limit: Limit) {
        self.refused.store(limit.code(), Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) -> Option<Limit> {
        Limit::of_code(self.refused.load(Ordering::Relaxed))
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            busy: self.busy(),
            memory: self.memory.load(Ordering::Relaxed),
            peak_memory: self.peak_memory.load(Ordering::Relaxed),
            refused: self.refused(),
        }
    }
}
