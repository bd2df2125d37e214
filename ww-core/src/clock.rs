//! Time as cells see it, from a source that can be replaced.
//!
//! [`System`] is the machine's own time with one lazy timer thread; [`Virtual`]
//! stands still until it is told to advance, so that tests wait for nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use self::system::System;
pub use self::r#virtual::Virtual;

pub(crate) use self::timer::{Registration, Timer};

mod deadlines;
mod system;
mod timer;
mod r#virtual;

/// What [`Clock::sleep_until`] gives: a future that is ready from the deadline
/// on.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time.
///
/// - [`now`](Clock::now) never goes backwards, and its zero is the clock's own.
/// - A sleep is ready at its deadline or shortly after, never before, and costs
///   nothing once it is dropped.
/// - Nothing here blocks the calling thread.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time since this clock's own zero.
    fn now(&self) -> Duration;

    /// The time of day.
    fn wall(&self) -> SystemTime;

    /// The smallest step that both times can be expected to take.
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    /// Waits until [`now`](Clock::now) is `deadline`, or for ever when this
    /// clock cannot reach that far.
    fn sleep_until(&self, deadline: Duration) -> Sleep;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }

    fn wall(&self) -> SystemTime {
        (**self).wall()
    }

    fn resolution(&self) -> Duration {
        (**self).resolution()
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        (**self).sleep_until(deadline)
    }
}
