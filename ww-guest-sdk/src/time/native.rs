use std::cell::RefCell;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

thread_local! {
    static TIMERS: RefCell<Timers> = const { RefCell::new(Timers::new()) };
}

/// The time of a test, and who waits for it to pass.
struct Timers {
    now: Duration,
    last: u64,
    /// By deadline, and by who came first.
    waiting: BTreeMap<(Duration, u64), Waker>,
}

/// Resolves when its time has come.
pub(super) struct Timer {
    key: (Duration, u64),
}

impl Timers {
    const fn new() -> Self {
        Self {
            now: Duration::ZERO,
            last: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl Timer {
    pub(super) fn new(duration: Duration) -> Self {
        TIMERS.with_borrow_mut(|timers| {
            timers.last += 1;
            Self {
                key: (timers.now.saturating_add(duration), timers.last),
            }
        })
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        TIMERS.with_borrow_mut(|timers| {
            if self.key.0 <= timers.now {
                return Poll::Ready(());
            }
            timers.waiting.insert(self.key, cx.waker().clone());
            Poll::Pending
        })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // The timers may be gone already at the end of the thread.
        let _ = TIMERS.try_with(|timers| timers.borrow_mut().waiting.remove(&self.key));
    }
}

/// Lets time pass until the next deadline. False where there is none.
pub(crate) fn pass() -> bool {
    let waker = TIMERS.with_borrow_mut(|timers| {
        let ((deadline, _), waker) = timers.waiting.pop_first()?;
        timers.now = deadline;
        Some(waker)
    });
    waker.map(Waker::wake).is_some()
}
