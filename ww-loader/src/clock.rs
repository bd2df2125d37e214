//! Time as loaders see it, from a source that can be replaced.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::future::{Either, select};

/// What [`Clock::sleep_until`] gives: a future that is ready from the deadline
/// on.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time.
///
/// - [`now`](Clock::now) never goes backwards, and its zero is the clock's own.
/// - A sleep is ready at its deadline or shortly after, never before, and costs
///   nothing once it is dropped.
/// - Nothing here blocks the calling thread.
pub trait Clock: Send + Sync {
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

macro_rules! forward {
    ($($of:ty),*) => {$(
        impl<C: Clock + ?Sized> Clock for $of {
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
    )*};
}

forward!(&C, Arc<C>, Box<C>);

/// The machine's own time. Its zero is the moment it was made.
///
/// Sleeps wait on the one thread of the `async-io` crate, which starts with the
/// first of them.
#[derive(Clone, Debug)]
pub struct System {
    zero: Instant,
}

impl System {
    /// A clock at zero.
    pub fn new() -> Self {
        let zero = Instant::now();
        Self { zero }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for System {
    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        match self.zero.checked_add(deadline) {
            Some(deadline) => Box::pin(async move {
                async_io::Timer::at(deadline).await;
            }),
            None => Box::pin(std::future::pending()),
        }
    }
}

/// What `work` gives, or `None` if it is not done `within` from now.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    within: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    let sleep = clock.sleep_until(clock.now().saturating_add(within));
    match select(Box::pin(work), sleep).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}
