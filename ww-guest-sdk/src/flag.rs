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
struct Raised {
    raised: AtomicBool,
    /// The thread that looks at the flag. A cell has one alone.
    #[cfg(not(target_family = "wasm"))]
    thread: std::thread::Thread,
}

impl Flag {
    /// A raised flag: what was never polled wants to be.
    pub(crate) fn new() -> Self {
        let raised = Arc::new(Raised {
            raised: AtomicBool::new(true),
            #[cfg(not(target_family = "wasm"))]
            thread: std::thread::current(),
        });
        let waker = raised.clone().into();
        Self { raised, waker }
    }

    /// The waker that raises the flag.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.raised.load(Ordering::Acquire)
    }

    /// Lowers the flag, and answers whether it was raised.
    pub(crate) fn take(&self) -> bool {
        self.raised.raised.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Raised {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raised.store(true, Ordering::Release);
        #[cfg(not(target_family = "wasm"))]
        self.thread.unpark();
    }
}
