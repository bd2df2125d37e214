use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use crate::{Epoch, Epochs, Error};

/// How many epochs are taken from a stream in one turn. One that always has
/// the next at hand would otherwise keep its thread.
const A_TURN: usize = 32;

/// The future of [`Epochs::follow`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Follow<S> {
    epochs: Epochs,
    stream: S,
}

impl<S> Follow<S> {
    pub(crate) fn new(epochs: Epochs, stream: S) -> Self {
        Self { epochs, stream }
    }
}

impl<S: Stream<Item = Epoch> + Unpin> Future for Follow<S> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        for _ in 0..A_TURN {
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                // A source that starts again tells what it told last.
                Poll::Ready(Some(epoch)) if epoch == self.epochs.current() => {}
                Poll::Ready(Some(epoch)) => self.epochs.advance(epoch)?,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
