use std::cell::RefCell;
use std::task::{Context, Waker};

use wasip2::clocks::monotonic_clock;

use crate::watch::Watch;

thread_local! {
    /// What rings at the earliest deadline, or, where that was given up, before.
    static ALARM: RefCell<Option<Alarm>> = const { RefCell::new(None) };
}

struct Alarm {
    deadline: u64,
    watch: Watch,
}

impl Alarm {
    fn new(deadline: u64) -> Self {
        Self {
            deadline,
            watch: Watch::new(monotonic_clock::subscribe_instant(deadline)),
        }
    }

    /// Whether it has rung. Until then the poll loop watches it.
    fn poll(&self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        self.watch.poll_ready(cx).is_ready()
    }
}

/// The time, in nanoseconds.
pub(super) fn now() -> u64 {
    monotonic_clock::now()
}

/// Sets the alarm to `earliest`, unless it rings before then.
pub(super) fn watch(earliest: Option<u64>) {
    ALARM.with_borrow_mut(|alarm| {
        let Some(earliest) = earliest else {
            *alarm = None;
            return;
        };
        if alarm.as_ref().is_none_or(|alarm| earliest < alarm.deadline) {
            // The one before goes first, so that the host has one at a time.
            *alarm = None;
            alarm.insert(Alarm::new(earliest)).poll();
        }
    });
}

/// Whether the alarm has rung. It does so once.
pub(super) fn has_rung() -> bool {
    ALARM.with_borrow_mut(|alarm| alarm.take_if(|alarm| alarm.poll()).is_some())
}

/// Time passes by itself, and who waits for it waits for a pollable.
pub(crate) fn pass() -> bool {
    false
}
