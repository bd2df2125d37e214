use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use super::deadlines::{Deadlines, Key};
use super::{Clock, Sleep};

/// A clock that stands still until it is advanced. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use ww_core::clock::{Clock, Virtual};
///
/// let clock = Virtual::new();
/// let sleep = clock.sleep_until(Duration::from_secs(3600));
/// clock.advance(Duration::from_secs(3600));
/// futures_lite::future::block_on(sleep);
/// assert_eq!(clock.now(), Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug)]
pub struct Virtual {
    shared: Arc<Mutex<State>>,
}

impl Virtual {
    /// A clock at zero, with the time of day at the Unix epoch.
    pub fn new() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH)
    }

    /// A clock at zero, with the time of day at `wall`.
    pub fn starting_at(wall: SystemTime) -> Self {
        Self {
            shared: Arc::new(Mutex::new(State {
                now: Duration::ZERO,
                wall,
                sleeping: Deadlines::new(),
                watching: Vec::new(),
            })),
        }
    }

    /// Moves both times on and wakes every sleep whose deadline is reached, in
    /// order.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.now = state.now.saturating_add(by);
        state.wall = state.wall.checked_add(by).unwrap_or(state.wall);
        let now = state.now;
        let due: Vec<_> = std::iter::from_fn(|| state.sleeping.due(now)).collect();
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Waits until something sleeps on this clock, and gives the earliest
    /// deadline: how a test knows when there is a point in advancing.
    ///
    /// # Cancel safety
    ///
    /// Changes nothing.
    pub async fn slept_on(&self) -> Duration {
        poll_fn(|cx| {
            let mut state = self.lock();
            match state.sleeping.first() {
                Some(deadline) => Poll::Ready(deadline),
                None => {
                    let waker = cx.waker();
                    if !state.watching.iter().any(|kept| kept.will_wake(waker)) {
                        state.watching.push(waker.clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Nothing sleeps on this clock.
    pub fn is_idle(&self) -> bool {
        self.lock().sleeping.is_empty()
    }

    /// Wakers run outside the lock, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Virtual {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for Virtual {
    fn now(&self) -> Duration {
        self.lock().now
    }

    fn wall(&self) -> SystemTime {
        self.lock().wall
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        Box::pin(Until {
            clock: self.clone(),
            deadline,
            waiting: None,
        })
    }
}

#[derive(Debug)]
struct State {
    now: Duration,
    wall: SystemTime,
    sleeping: Deadlines<Duration>,
    watching: Vec<Waker>,
}

struct Until {
    clock: Virtual,
    deadline: Duration,
    waiting: Option<Key<Duration>>,
}

impl Until {
    fn cancel(&mut self, state: &mut State) -> Option<Waker> {
        let key = self.waiting.take()?;
        state.sleeping.remove(&key)
    }
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.lock();
        let displaced = self.cancel(&mut state);
        if state.now >= self.deadline {
            drop(state);
            drop(displaced);
            return Poll::Ready(());
        }
        self.waiting = Some(state.sleeping.insert(self.deadline, cx.waker().clone()));
        let watching = mem::take(&mut state.watching);
        drop(state);
        drop(displaced);
        watching.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        let clock = self.clock.clone();
        let mut state = clock.lock();
        let displaced = self.cancel(&mut state);
        drop(state);
        drop(displaced);
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, zip};

    use super::*;

    #[test]
    fn advancing_ends_the_sleeps_whose_time_has_come() {
        let clock = Virtual::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut sleeps = [1, 2, 3].map(|n| clock.sleep_until(Duration::from_secs(n)));
        let mut ready = || {
            sleeps
                .each_mut()
                .map(|sleep| sleep.as_mut().poll(&mut cx).is_ready())
        };
        assert_eq!(ready(), [false; 3]);
        clock.advance(Duration::from_secs(2));
        let both = sleeps.each_mut().map(|sleep| {
            let mut cx = Context::from_waker(Waker::noop());
            sleep.as_mut().poll(&mut cx).is_ready()
        });
        assert_eq!(both, [true, true, false]);
        drop(sleeps);
        assert!(clock.is_idle(), "a dropped sleep is forgotten");
    }

    #[test]
    fn a_test_can_wait_for_the_sleeper_before_it_advances() {
        let clock = Virtual::new();
        let sleep = clock.sleep_until(Duration::from_secs(60));
        block_on(zip(
            async {
                let deadline = clock.slept_on().await;
                clock.advance(deadline - clock.now());
            },
            sleep,
        ));
        assert_eq!(
            clock.wall(),
            SystemTime::UNIX_EPOCH + Duration::from_secs(60)
        );
    }
}
