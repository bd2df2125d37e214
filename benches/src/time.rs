//! Two ways to say how long something took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nix::time::{ClockId, clock_gettime};
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
        // By way of the C library, as valgrind does not bear the short one.
        let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
        now.expect("a thread has this clock").into()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    /// Never ready: nothing that is measured sleeps.
    fn sleep_until(&self, _: Duration) -> Sleep {
        Box::pin(std::future::pending())
    }
}

/// [`Thread`], and when it was last asked, for its resolution or the time.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<AtomicU64>);

impl Asked {
    /// The processor time at that moment.
    pub fn at(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl Asked {
    fn note(&self) -> Duration {
        let now = Thread.now();
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos, Ordering::Relaxed);
        now
    }
}

impl Clock for Asked {
    fn now(&self) -> Duration {
        self.note()
    }

    fn wall(&self) -> SystemTime {
        Thread.wall()
    }

    fn resolution(&self) -> Duration {
        self.note();
        Duration::from_nanos(1)
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        Thread.sleep_until(deadline)
    }
}
