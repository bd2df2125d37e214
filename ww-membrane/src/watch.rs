use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::signal::Listener;
use crate::{Epoch, Epochs};

/// The future of [`Epochs::next`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Next {
    epochs: Epochs,
    after: u64,
    listener: Listener,
}

/// The future of [`Epochs::settled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Settled {
    epochs: Epochs,
    seq: u64,
    listener: Listener,
}

impl Next {
    pub(crate) fn new(epochs: Epochs, after: u64) -> Self {
        let listener = Listener::new(epochs.advanced().clone());
        Self {
            epochs,
            after,
            listener,
        }
    }
}

impl Settled {
    pub(crate) fn new(epochs: Epochs, seq: u64) -> Self {
        let listener = Listener::new(epochs.left().clone());
        Self {
            epochs,
            seq,
            listener,
        }
    }
}

// Both listen before they look, so that a change in between wakes them.

impl Future for Next {
    type Output = Epoch;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Epoch> {
        self.listener.listen(cx.waker());
        if self.epochs.seq() > self.after {
            Poll::Ready(self.epochs.current())
        } else {
            Poll::Pending
        }
    }
}

impl Future for Settled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.listener.listen(cx.waker());
        if self.epochs.is_settled(self.seq) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}
