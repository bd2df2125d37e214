use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that passes wakes on and remembers whether there was one.
struct Watch {
    woken: AtomicBool,
    waker: Waker,
}

/// Polls, and tells whether something asked to be polled again meanwhile: then
/// pending means *later* and not *nothing there*.
pub(crate) fn poll_watched<T>(
    cx: &Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> (Poll<T>, bool) {
    let watch = Arc::new(Watch {
        woken: AtomicBool::new(false),
        waker: cx.waker().clone(),
    });
    let polled = poll(&mut Context::from_waker(&Waker::from(watch.clone())));
    (polled, watch.woken.load(Ordering::Acquire))
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}
