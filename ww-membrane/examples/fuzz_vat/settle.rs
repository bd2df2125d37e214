use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls once, and then again for as long as something woke meanwhile.
pub(crate) fn settle(mut poll: impl FnMut(&mut Context<'_>)) {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    loop {
        poll(&mut Context::from_waker(&waker));
        if !woken.0.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}
