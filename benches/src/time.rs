//! Two ways to say how long something took.

use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use ww_core::clock::{Clock, Sleep};

use crate::Outcome;

/// How long `work` kept this thread's processor busy, system calls included.
/// What other threads and processes do meanwhile does not count.
///
/// # Errors
///
/// That of `work`.
pub fn cpu<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<Duration> {
    let start = Thread.now();
    work()?;
    Ok(Thread.now() - start)
}

/// How long `work` took by the clock on the wall.
///
/// # Errors
///
/// That of `work`.
pub fn wall<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// The processor time of whichever thread looks at it. A cell that has it for
/// its clock measures in the same unit as [`cpu`].
#[derive(Clone, Copy, Debug)]
pub struct Thread;

impl Clock for Thread {
    fn now(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::try_from(now).expect("a processor's time is not negative")
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Never ready: nothing that is measured sleeps.
    fn sleep_until(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}
