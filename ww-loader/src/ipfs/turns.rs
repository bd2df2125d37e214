use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event_listener::Event;
use futures::future::{Either, select};

use super::{Retry, Source, SourceError};
use crate::clock::Clock;

/// The sources, and the order they are asked in.
pub(super) struct Turns {
    slots: Vec<Slot>,
    retry: Retry,
    /// Notified when one that rested gives something.
    well: Event,
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
            well: Event::new(),
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

    /// Waits until one of `slots` has rested, or need not rest any longer. Where others
    /// had all of them rest for longer meanwhile, it does so once more, and not again:
    /// each of many that wait would otherwise have the others wait.
    pub(super) async fn rest(&self, slots: &[&Slot], clock: &dyn Clock) {
        let rested = || slots.iter().map(|slot| slot.health().resting).min();
        let sleep = || clock.sleep_until(rested().unwrap_or_default());
        let (mut asleep, mut once_more) = (sleep(), true);
        loop {
            // Before the look at the health, so that nothing is missed between.
            let well = self.well.listen();
            if rested().unwrap_or_default() <= clock.now() {
                return;
            }
            asleep = match select(asleep, well).await {
                Either::Left(_) if !std::mem::take(&mut once_more) => return,
                Either::Left(_) => sleep(),
                Either::Right(((), asleep)) => asleep,
            };
        }
    }

    /// Counts a failure of what was `asked` then and failed `now`.
    pub(super) fn failed(&self, slot: &Slot, error: &SourceError, asked: Duration, now: Duration) {
        if !error.is_grave() {
            return;
        }
        let mut health = slot.health();
        let wish = match error {
            SourceError::Status { again, .. } => again.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let until = |rest: Duration| now.saturating_add(rest.min(self.retry.most));
        // Of several that were under way together, all fail with the first: only what
        // was asked after the rest says that the rest was too short.
        if asked >= health.resting {
            let factor = 1_u32.checked_shl(health.failures).unwrap_or(u32::MAX);
            health.failures = health.failures.saturating_add(1);
            let own = self.retry.first.saturating_mul(factor);
            health.resting = until(own.max(wish));
        } else if wish > Duration::ZERO {
            health.resting = health.resting.max(until(wish));
        }
    }

    pub(super) fn succeeded(&self, slot: &Slot) {
        let before = std::mem::take(&mut *slot.health());
        if before.resting > Duration::ZERO {
            self.well.notify(usize::MAX);
        }
    }
}

impl Slot {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
