use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::signal::{Listener, Signal};
use crate::thread;

/// Ends the sessions of this thread in the turn after their epoch has passed.
///
/// Poll one wherever capabilities are driven: one for each thread is enough,
/// more do no harm. It is woken when an epoch advances, and for calls that were streamed
/// on what nobody holds any more; never otherwise, and it never resolves.
/// Without one, a session still denies every call at once, but lets go of what it holds
/// only when it is next touched.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Reaper {
    listener: Listener,
    signal: Arc<Signal>,
    adrift: Listener,
    /// Bound to the thread whose sessions it ends.
    thread: PhantomData<Rc<()>>,
}

impl Reaper {
    /// A reaper of the thread that calls this.
    pub fn new() -> Self {
        let signal = thread::signal();
        Self {
            listener: Listener::new(signal.clone()),
            signal,
            adrift: Listener::new(thread::adrift()),
            thread: PhantomData,
        }
    }
}

impl Default for Reaper {
    fn default() -> Self {
        Self::new()
    }
}

impl Future for Reaper {
    type Output = Infallible;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Infallible> {
        self.listener.listen(cx.waker());
        self.adrift.listen(cx.waker());
        thread::sweep(self.signal.fired());
        Poll::Pending
    }
}
