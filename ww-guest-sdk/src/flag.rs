use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Whether something that is polled has been woken since it was last polled.
#[derive(Debug)]
pub(crate) struct Flag {
    raised: Arc<Raised>,
    waker: Waker,
}

#[derive(Debug)]
struct Raised(AtomicBool);

impl Flag {
    /// A raised flag: what was never polled wants to be.
    pub(crate) fn new() -> Self {
        let raised = Arc::new(Raised(AtomicBool::new(true)));
        let waker = raised.clone().into();
        Self { raised, waker }
    }

    /// The waker that raises the flag.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.0.load(Ordering::Acquire)
    }

    /// Lowers the flag, and answers whether it was raised.
    pub(crate) fn take(&self) -> bool {
        self.raised.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Raised {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}
