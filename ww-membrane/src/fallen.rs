use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::Fall;
use crate::hook::Boundary;
use crate::signal::Listener;

/// The future of [`Membrane::fallen`](crate::Membrane::fallen).
#[must_use = "futures do nothing unless polled"]
pub struct Fallen {
    boundary: Rc<Boundary>,
    listener: Listener,
}

impl Fallen {
    pub(crate) fn new(boundary: Rc<Boundary>) -> Self {
        let listener = Listener::new(boundary.signal().clone());
        Self { boundary, listener }
    }
}

impl Future for Fallen {
    type Output = Fall;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fall> {
        // Listen before looking, so that a fall in between wakes.
        self.listener.listen(cx.waker());
        match self.boundary.fall() {
            Some(fall) => Poll::Ready(fall.clone()),
            None => Poll::Pending,
        }
    }
}

impl fmt::Debug for Fallen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallen").finish_non_exhaustive()
    }
}
