use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Instant;

use super::deadlines::{Deadlines, Key};

/// One thread that wakes wakers at their deadlines.
///
/// The thread starts with the first registration, sleeps until the next
/// deadline, without one until there is one, and ends when the last `Timer` and
/// [`Registration`] are gone.
#[derive(Clone)]
pub(crate) struct Timer {
    handle: Arc<Handle>,
}

impl Timer {
    pub(crate) fn new() -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                deadlines: Deadlines::new(),
                running: false,
                closed: false,
            }),
            changed: Condvar::new(),
        });
        Self {
            handle: Arc::new(Handle { shared }),
        }
    }

    /// Wakes `waker` once at `deadline`, from the timer's thread, unless the
    /// registration is dropped before.
    ///
    /// # Errors
    ///
    /// The system refuses another thread.
    pub(crate) fn register(&self, deadline: Instant, waker: Waker) -> io::Result<Registration> {
        let mut state = self.started()?;
        let first = state.deadlines.first();
        let key = state.deadlines.insert(deadline, waker);
        drop(state);
        if first.is_none_or(|first| deadline < first) {
            self.handle.shared.changed.notify_one();
        }
        Ok(Registration {
            handle: Arc::clone(&self.handle),
            key,
        })
    }

    /// Starts the thread, unless it runs.
    ///
    /// # Errors
    ///
    /// The system refuses another thread.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.started().map(drop)
    }

    fn started(&self) -> io::Result<MutexGuard<'_, State>> {
        let shared = &self.handle.shared;
        let mut state = shared.lock();
        if !state.running {
            let shared = Arc::clone(shared);
            thread::Builder::new()
                .name("ww-timer".into())
                .spawn(move || shared.run())?;
            state.running = true;
        }
        Ok(state)
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.handle.shared.lock();
        f.debug_struct("Timer")
            .field("next", &state.deadlines.first())
            .finish_non_exhaustive()
    }
}

/// A waker that waits for its time. Dropping it cancels.
#[must_use = "dropping it cancels"]
pub(crate) struct Registration {
    handle: Arc<Handle>,
    key: Key<Instant>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let waker = self.handle.shared.lock().deadlines.remove(&self.key);
        drop(waker);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.key.0).finish()
    }
}

/// Held by all but the thread, so that the thread learns when it is alone.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    deadlines: Deadlines<Instant>,
    running: bool,
    closed: bool,
}

impl Shared {
    /// Wakers run outside the lock, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            if let Some(waker) = state.deadlines.due(now) {
                drop(state);
                // A waker that panics must not stop everyone else's time.
                let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                state = self.lock();
                continue;
            }
            state = match state.deadlines.first() {
                Some(first) => {
                    let wait = first.saturating_duration_since(now);
                    self.changed
                        .wait_timeout(state, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    struct Sends(mpsc::Sender<&'static str>, &'static str);

    impl Wake for Sends {
        fn wake(self: Arc<Self>) {
            self.0.send(self.1).expect("the test listens");
        }
    }

    #[test]
    fn wakers_run_in_the_order_of_their_deadlines_and_not_once_cancelled() {
        let timer = Timer::new();
        let (send, received) = mpsc::channel();
        let waker = |name| Waker::from(Arc::new(Sends(send.clone(), name)));
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let registered: Vec<_> = [
            (30, "third"),
            (10, "first"),
            (20, "cancelled"),
            (25, "second"),
        ]
        .into_iter()
        .map(|(millis, name)| {
            let registration = timer.register(at(millis), waker(name)).expect("a thread");
            (name != "cancelled").then_some(registration)
        })
        .collect();
        drop(send);
        let order: Vec<_> = received.iter().take(3).collect();
        assert_eq!(order, ["first", "second", "third"]);
        assert!(Instant::now() >= at(30));
        drop(registered);
    }

    #[test]
    fn the_thread_ends_with_the_last_handle() {
        let timer = Timer::new();
        let far = Instant::now() + Duration::from_secs(3600);
        let registration = timer
            .register(far, Waker::noop().clone())
            .expect("a thread");
        let shared = Arc::downgrade(&timer.handle.shared);
        drop(timer);
        assert!(shared.upgrade().is_some(), "a registration still waits");
        drop(registration);
        // The thread lets go of its share when it ends; yielding is how to
        // wait for a thread that nobody may join.
        while shared.upgrade().is_some() {
            thread::yield_now();
        }
    }
}
