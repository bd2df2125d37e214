use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use capnp::Error;

/// How many calls on promises may be polled from within one another. Each may wait for
/// a promise that another is to answer, with all that is pipelined between the two.
/// That takes stack, and as much again when they are dropped.
const NESTED: usize = 8;

thread_local! {
    static NEST: Cell<usize> = const { Cell::new(0) };
    /// Whether there would have been one too many.
    static EXCEEDED: Cell<bool> = const { Cell::new(false) };
}

/// A call on a promise, which fails where what it waits for goes on for too long.
///
/// Each is polled by itself before others can wait for it. So one that is too far
/// within to be polled again is told of what it waits for all the same.
pub(super) struct Nested<F>(pub(super) F);

/// How many are being polled further out.
struct Outside(usize);

impl<F> Future for Nested<F>
where
    F: Future<Output = Result<(), Error>> + Unpin,
{
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outside = Outside(NEST.get());
        if outside.0 == NESTED {
            EXCEEDED.set(true);
            return Poll::Pending;
        }
        NEST.set(outside.0 + 1);
        let polled = Pin::new(&mut self.0).poll(cx);
        if outside.0 == 0 && EXCEEDED.take() && polled.is_pending() {
            return Poll::Ready(Err(Error::overloaded(format!(
                "call waits for others on promises, more than {NESTED} in a row"
            ))));
        }
        polled
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        NEST.set(self.0);
    }
}
