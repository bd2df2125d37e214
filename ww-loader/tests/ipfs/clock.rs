//! A clock that stands still until it is moved.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use ww_loader::clock::{Clock, Sleep};

#[derive(Clone, Default)]
pub(crate) struct Virtual(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Duration,
    sleeping: Vec<Waker>,
}

impl Virtual {
    pub(crate) fn advance(&self, by: Duration) {
        let mut state = self.0.lock().unwrap();
        state.now += by;
        let woken = std::mem::take(&mut state.sleeping);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Clock for Virtual {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.now()
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        let clock = self.clone();
        Box::pin(poll_fn(move |cx| {
            let mut state = clock.0.lock().unwrap();
            if state.now >= deadline {
                return Poll::Ready(());
            }
            state.sleeping.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

/// A clock whose sleepers need not wait: what backs off goes on at once.
#[derive(Clone, Default)]
pub(crate) struct Hasty(Virtual);

impl Clock for Hasty {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn wall(&self) -> SystemTime {
        self.0.wall()
    }

    /// Sleeps of a deadline's length wait for ever, shorter ones not at all.
    fn sleep_until(&self, deadline: Duration) -> Sleep {
        let left = deadline.saturating_sub(self.now());
        if left >= Duration::from_secs(30) {
            return Box::pin(std::future::pending());
        }
        self.0.advance(left);
        Box::pin(std::future::ready(()))
    }
}
