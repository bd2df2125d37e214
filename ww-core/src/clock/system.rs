use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use super::{Clock, Registration, Sleep, Timer};

/// The machine's own time. Its zero is the moment it was made.
///
/// Sleeps share one thread, which starts with the first of them. Clones share
/// thread and zero.
#[derive(Clone, Debug)]
pub struct System {
    zero: Instant,
    timer: Timer,
}

impl System {
    /// A clock with a timer thread of its own.
    pub fn new() -> Self {
        Self::on(Timer::new())
    }

    /// A clock whose sleeps wait on `timer`.
    pub(crate) fn on(timer: Timer) -> Self {
        Self {
            zero: Instant::now(),
            timer,
        }
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
            Some(deadline) => Box::pin(Until {
                deadline,
                timer: self.timer.clone(),
                waiting: None,
            }),
            None => Box::pin(std::future::pending()),
        }
    }
}

struct Until {
    deadline: Instant,
    timer: Timer,
    waiting: Option<(Waker, Registration)>,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            self.waiting = None;
            return Poll::Ready(());
        }
        let waker = cx.waker();
        match &self.waiting {
            Some((kept, _)) if kept.will_wake(waker) => {}
            _ => match self.timer.register(self.deadline, waker.clone()) {
                Ok(registration) => self.waiting = Some((waker.clone(), registration)),
                // Without a thread nothing would ever wake this task, so it
                // tries again, which is slow but true.
                Err(_) => waker.wake_by_ref(),
            },
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    #[test]
    fn a_sleep_ends_at_its_deadline_and_not_before() {
        let clock = System::new();
        for millis in [0, 1, 20] {
            let deadline = clock.now() + Duration::from_millis(millis);
            block_on(clock.sleep_until(deadline));
            assert!(clock.now() >= deadline);
        }
    }

    #[test]
    fn a_sleep_beyond_reach_waits_without_a_thread() {
        let clock = System::new();
        let mut sleep = clock.sleep_until(Duration::MAX);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut cx).is_pending());
    }
}
