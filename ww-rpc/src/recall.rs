use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Wake, Waker};

use futures::task::AtomicWaker;

/// It is being polled.
const POLLING: u8 = 1;

/// Somebody has asked for another poll.
const WOKEN: u8 = 2;

/// The waker of a future that is polled several times in a row: what asks for
/// another poll meanwhile asks nobody else.
pub(crate) struct Recall {
    state: Arc<State>,
    waker: Waker,
}

struct State {
    bits: AtomicU8,
    outer: AtomicWaker,
}

/// Polls in a row, after which whoever polls is woken if another is asked for
/// still.
pub(crate) struct Polls<'a>(&'a Recall);

impl Recall {
    pub(crate) fn new() -> Self {
        let state = Arc::new(State {
            bits: AtomicU8::new(0),
            outer: AtomicWaker::new(),
        });
        Self {
            waker: state.clone().into(),
            state,
        }
    }

    /// Begins polls for `outer`, which is woken from then on when this is.
    pub(crate) fn polls(&self, outer: &Context<'_>) -> Polls<'_> {
        self.state.outer.register(outer.waker());
        Polls(self)
    }
}

impl Polls<'_> {
    /// Polls once, and tells whether another poll is asked for.
    pub(crate) fn once<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> T) -> (T, bool) {
        let Recall { state, waker } = self.0;
        state.bits.swap(POLLING, Ordering::AcqRel);
        let polled = poll(&mut Context::from_waker(waker));
        let woken = state.bits.load(Ordering::Acquire) & WOKEN != 0;
        (polled, woken)
    }
}

impl Drop for Polls<'_> {
    fn drop(&mut self) {
        let state = &self.0.state;
        if state.bits.swap(0, Ordering::AcqRel) & WOKEN != 0 {
            state.outer.wake();
        }
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.bits.fetch_or(WOKEN, Ordering::AcqRel) & POLLING == 0 {
            self.outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::task::Poll;
    use std::thread;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_polls_is_woken_for_what_no_poll_follows() {
        let count = Arc::<Count>::default();
        let outer = Waker::from(count.clone());
        let woken = || count.0.load(Ordering::Relaxed);
        let recall = Recall::new();
        let mut kept = None;

        let polls = recall.polls(&Context::from_waker(&outer));
        let (_, again) = polls.once(|cx| cx.waker().wake_by_ref());
        assert!(again);
        let (_, again) = polls.once(|cx| kept = Some(cx.waker().clone()));
        assert!(!again);
        drop(polls);
        assert_eq!(woken(), 0);

        let kept = kept.expect("the second poll has kept it");
        kept.wake_by_ref();
        kept.wake_by_ref();
        assert_eq!(woken(), 1, "once until the next poll");

        let polls = recall.polls(&Context::from_waker(&outer));
        let (_, again) = polls.once(|cx| cx.waker().wake_by_ref());
        assert!(again);
        drop(polls);
        assert_eq!(woken(), 2, "what is left to do");
    }

    #[test]
    fn no_wake_of_another_thread_is_lost() {
        // Told apart from a spurious wake by what is done by then.
        for round in 0..2_000 {
            let done = Arc::new(AtomicBool::new(false));
            let recall = Recall::new();
            let mut other = None;
            let poll = poll_fn(|cx| {
                let polls = recall.polls(cx);
                // The second poll forgets what was asked for before it.
                for _ in 0..2 {
                    let (seen, _) = polls.once(|cx| {
                        other.get_or_insert_with(|| {
                            let (waker, done) = (cx.waker().clone(), done.clone());
                            thread::spawn(move || {
                                done.store(true, Ordering::Relaxed);
                                waker.wake();
                            })
                        });
                        done.load(Ordering::Relaxed)
                    });
                    if seen {
                        return Poll::Ready(());
                    }
                }
                Poll::Pending
            });
            futures_lite::future::block_on(poll);
            let other = other.expect("it was polled");
            other.join().unwrap_or_else(|_| panic!("round {round}"));
        }
    }
}
