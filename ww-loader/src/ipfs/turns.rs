use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Retry, Source, SourceError};

/// The sources, and the order they are asked in.
pub(super) struct Turns {
    slots: Vec<Slot>,
    retry: Retry,
}

pub(super) struct Slot {
    pub(super) source: Arc<dyn Source>,
    health: Mutex<Health>,
}

#[derive(Clone, Copy, Default)]
struct Health {
    /// How often it failed in a row.
    failures: u32,
    /// Until when, on the clock, it is asked last.
    resting: Duration,
}

impl Turns {
    pub(super) fn new(sources: Vec<Arc<dyn Source>>, retry: Retry) -> Self {
        let slots = sources.into_iter().map(|source| Slot {
            source,
            health: Mutex::default(),
        });
        Self {
            slots: slots.collect(),
            retry,
        }
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Puts those that rest last, the others as they were given.
    pub(super) fn order(&self, slots: &mut [&Slot], now: Duration) {
        slots.sort_by_cached_key(|slot| match slot.health().resting {
            resting if resting <= now => Duration::ZERO,
            resting => resting,
        });
    }

    pub(super) fn failed(&self, slot: &Slot, error: &SourceError, now: Duration) {
        if !error.is_grave() {
            return;
        }
        let mut health = slot.health();
        let factor = 1_u32.checked_shl(health.failures).unwrap_or(u32::MAX);
        health.failures = health.failures.saturating_add(1);
        let own = self.retry.first.saturating_mul(factor);
        let asked = match error {
            SourceError::Status { again, .. } => again.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        health.resting = now.saturating_add(own.max(asked).min(self.retry.most));
    }
}

impl Slot {
    pub(super) fn succeeded(&self) {
        *self.health() = Health::default();
    }

    /// When, on the clock, it has rested.
    pub(super) fn rested(&self) -> Duration {
        self.health().resting
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
