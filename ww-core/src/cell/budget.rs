use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::limits::{Limit, Limits};
use super::shared::Shared;
use crate::clock::{Clock, Sleep};
use crate::error::Error;
use crate::runtime::Runtime;

/// The time that a cell may take: its processor's, and everyone's.
pub(crate) struct Budget {
    limited: Option<Box<Limited>>,
}

/// What is needed where one of the two is limited.
struct Limited {
    limits: Limits,
    clock: Arc<dyn Clock>,
    /// From the start on, where the clock's time is limited.
    alarm: Option<(Sleep, Waker)>,
}

impl Budget {
    pub(super) fn new(limits: &Limits, runtime: &Runtime) -> Self {
        let limited = limits.cpu.is_some() || limits.wall.is_some();
        Self {
            limited: limited.then(|| {
                Box::new(Limited {
                    limits: *limits,
                    clock: runtime.clock(),
                    alarm: None,
                })
            }),
        }
    }

    /// Begins to count the clock's time; `waker` gives what is woken when it
    /// is over. Costs nothing where it is not limited.
    pub(super) fn start(&mut self, waker: impl FnOnce() -> Waker) {
        if let Some(limited) = &mut self.limited
            && let Some(wall) = limited.limits.wall
        {
            let end = limited.clock.now().saturating_add(wall);
            limited.alarm = Some((limited.clock.sleep_until(end), waker()));
        }
    }

    /// Stops counting the clock's time.
    pub(super) fn stop(&mut self) {
        if let Some(limited) = &mut self.limited {
            limited.alarm = None;
        }
    }

    /// What ends the cell of `shared`, if it has used up the processor's time.
    pub(super) fn spent(&self, shared: &Shared) -> Option<Error> {
        if !shared.is_spent() {
            return None;
        }
        let limited = self.limited.as_ref()?;
        Some(limited.limits.exceeded(Limit::Cpu))
    }

    /// What ends the cell now that its time is over. Where it is not, the waker
    /// is woken when it is.
    pub(super) fn over(&mut self) -> Option<Error> {
        let limited = self.limited.as_mut()?;
        let (sleep, waker) = limited.alarm.as_mut()?;
        match sleep.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(()) => Some(limited.limits.exceeded(Limit::Wall)),
            Poll::Pending => None,
        }
    }
}
