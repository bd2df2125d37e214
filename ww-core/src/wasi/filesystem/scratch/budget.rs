use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::wasi::wit::filesystem::types::ErrorCode;

/// Bytes that the scratch directories of one cell may take together.
/// Clones are one.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Inner<dyn Fn() + Send + Sync>>);

struct Inner<F: ?Sized> {
    cap: u64,
    used: AtomicU64,
    refused: F,
}

impl Budget {
    /// One of `cap` bytes, which says by `refused` that more were asked for.
    pub(crate) fn new(cap: u64, refused: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            cap,
            used: AtomicU64::new(0),
            refused,
        }))
    }

    /// Takes `bytes`, all or none.
    pub(super) fn charge(&self, bytes: u64) -> Result<(), ErrorCode> {
        let more = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.0.cap);
        let used = &self.0.used;
        if used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_err()
        {
            (self.0.refused)();
            return Err(ErrorCode::InsufficientSpace);
        }
        Ok(())
    }

    /// Has `held` bytes become `wanted`.
    pub(super) fn change(&self, held: u64, wanted: u64) -> Result<(), ErrorCode> {
        if wanted > held {
            return self.charge(wanted - held);
        }
        self.release(held - wanted);
        Ok(())
    }

    /// Gives back what was charged.
    pub(super) fn release(&self, bytes: u64) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("cap", &self.0.cap)
            .field("used", &self.0.used)
            .finish_non_exhaustive()
    }
}
