use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::future::FusedFuture;

thread_local! {
    static TIMERS: RefCell<Timers> = const { RefCell::new(Timers::new()) };
}

/// Who waits for time to pass, on whichever clock.
struct Timers {
    last: u64,
    /// By deadline, and by who came first.
    waiting: BTreeMap<Key, Waker>,
}

/// A deadline, in nanoseconds of the clock, and what tells it from its like.
type Key = (u64, u64);

/// Resolves when its time has come, and somebody has said so.
pub(super) struct Timer {
    key: Key,
    /// It has been among those who wait. When it is there no more, its time has come.
    waited: bool,
    /// It has resolved.
    done: bool,
}

impl Timers {
    const fn new() -> Self {
        Self {
            last: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl Timer {
    pub(super) fn new(deadline: u64) -> Self {
        let number = TIMERS.with_borrow_mut(|timers| {
            timers.last += 1;
            timers.last
        });
        Self {
            key: (deadline, number),
            waited: false,
            done: false,
        }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let first = !std::mem::replace(&mut self.waited, true);
        let replaced = TIMERS.with_borrow_mut(|timers| {
            let waits = first || timers.waiting.contains_key(&self.key);
            waits.then(|| timers.waiting.insert(self.key, waker))
        });
        // Dropped outside of the borrow, the waker before: it runs code that is not ours.
        match replaced {
            Some(_) => Poll::Pending,
            None => {
                self.done = true;
                Poll::Ready(())
            }
        }
    }
}

impl FusedFuture for Timer {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // The timers may be gone already at the end of the thread.
        let _ = TIMERS.try_with(|timers| timers.borrow_mut().waiting.remove(&self.key));
    }
}

/// The deadline that comes first, where anybody waits.
pub(super) fn earliest() -> Option<u64> {
    TIMERS.with_borrow(|timers| {
        let ((deadline, _), _) = timers.waiting.first_key_value()?;
        Some(*deadline)
    })
}

/// Wakes those whose deadline is `now` or before, in order.
pub(super) fn wake(now: u64) {
    let due = TIMERS.with_borrow_mut(|timers| {
        let later = timers.waiting.split_off(&(now, u64::MAX));
        std::mem::replace(&mut timers.waiting, later)
    });
    // Woken outside of the borrow: a waker runs code that is not ours.
    due.into_values().for_each(Waker::wake);
}
