use std::sync::atomic::{AtomicU64, Ordering};

/// How much a cell has taken of something, and how much all those below it have.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    own: AtomicU64,
    below: AtomicU64,
}

impl Tally {
    pub(crate) fn own(&self) -> u64 {
        self.own.load(Ordering::Relaxed)
    }

    pub(crate) fn below(&self) -> u64 {
        self.below.load(Ordering::Relaxed)
    }

    /// The family's.
    pub(super) fn all(&self) -> u64 {
        self.own().saturating_add(self.below())
    }

    pub(super) fn add(&self, amount: u64) {
        self.own.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn add_below(&self, amount: u64) {
        self.below.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, amount: u64) {
        self.own.fetch_sub(amount, Ordering::Relaxed);
    }

    pub(super) fn sub_below(&self, amount: u64) {
        self.below.fetch_sub(amount, Ordering::Relaxed);
    }
}
