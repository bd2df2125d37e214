use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures::AsyncWrite;
use wasmtime_wasi_io::streams::{StreamError, StreamResult};

use super::too_much;
use crate::wasi::CHUNK;
use crate::wasi::stdio::failed;

/// A writer and the bytes it has not yet taken, never more than one chunk.
///
/// A task of the cell keeps the writer going, so that what the guest has written
/// gets there whatever the guest waits for.
pub(super) struct Sink {
    inner: Pin<Box<dyn AsyncWrite + Send>>,
    /// Wakes that task, and is all that the writer is polled with until the cell
    /// closes it. Absent before that task has begun.
    pump: Option<Waker>,
    /// The writer takes no more before that task is woken.
    stalled: bool,
    /// The guest, where it waits for the writer.
    waiting: Option<Waker>,
    /// What the writer has yet to take is `pending[start..]`.
    pending: Vec<u8>,
    start: usize,
    /// Bytes went to the writer since it was last flushed.
    dirty: bool,
    /// The guest asked for a flush that is not yet done.
    flushing: bool,
    state: State,
}

enum State {
    Open,
    /// The cell is closing it, and polls the writer itself.
    Closing,
    /// Nobody was told yet.
    Failed(io::Error),
    Closed,
}

impl Sink {
    pub(super) fn new(inner: Pin<Box<dyn AsyncWrite + Send>>) -> Self {
        Self {
            inner,
            pump: None,
            stalled: false,
            waiting: None,
            pending: Vec::new(),
            start: 0,
            dirty: false,
            flushing: false,
            state: State::Open,
        }
    }

    /// How much [`Sink::write`] takes now.
    pub(super) fn check_write(&mut self) -> StreamResult<usize> {
        self.check()?;
        Ok(if self.flushing { 0 } else { self.room() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> StreamResult<()> {
        if bytes.len() > self.check_write()? {
            return Err(too_much());
        }
        self.pending.drain(..self.start);
        self.start = 0;
        self.pending.extend_from_slice(bytes);
        self.advance();
        Ok(())
    }

    /// Begins a flush; [`Sink::check_write`] is zero until it is done.
    pub(super) fn flush(&mut self) -> StreamResult<()> {
        self.check()?;
        self.flushing = self.dirty || self.room() < CHUNK;
        self.advance();
        Ok(())
    }

    /// Ready once [`Sink::check_write`] is not zero.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_blocked() {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Keeps the writer going. Ready once there is nothing more to do.
    pub(super) fn poll_pump(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self.state, State::Open) {
            return Poll::Ready(());
        }
        if !(self.pump.as_ref()).is_some_and(|pump| pump.will_wake(cx.waker())) {
            self.pump = Some(cx.waker().clone());
        }
        self.stalled = false;
        self.advance();
        if !self.is_blocked()
            && let Some(waiting) = self.waiting.take()
        {
            waiting.wake();
        }
        Poll::Pending
    }

    /// Ready once every byte is written and the writer is closed.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => return Poll::Ready(Err(error)),
            State::Closed => return Poll::Ready(Ok(())),
            State::Open | State::Closing => self.state = State::Closing,
        }
        let result = ready!(self.poll_end(cx));
        self.state = State::Closed;
        Poll::Ready(result)
    }

    /// Whether the guest has to wait before it writes.
    fn is_blocked(&self) -> bool {
        self.flushing || self.room() == 0
    }

    fn room(&self) -> usize {
        CHUNK - (self.pending.len() - self.start)
    }

    /// Tells of a failure once; from then on the stream is closed.
    fn check(&mut self) -> StreamResult<()> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open => {
                self.state = State::Open;
                Ok(())
            }
            State::Failed(error) => Err(failed(error)),
            State::Closing | State::Closed => Err(StreamError::Closed),
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.state = State::Failed(error);
        self.pending = Vec::new();
        self.start = 0;
        self.dirty = false;
        self.flushing = false;
    }

    /// Hands on what the writer takes at once.
    fn advance(&mut self) {
        if self.stalled {
            return;
        }
        let pump = self.pump.clone();
        let pump = pump.as_ref().unwrap_or(Waker::noop());
        let cx = &mut Context::from_waker(pump);
        let progress = if self.flushing {
            self.poll_flush(cx)
        } else {
            self.poll_all(cx)
        };
        match progress {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => self.fail(error),
            Poll::Pending => self.stalled = true,
        }
    }

    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let bytes = &self.pending[self.start..];
        let count = ready!(self.inner.as_mut().poll_write(cx, bytes))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.dirty = true;
        self.start += count;
        if self.start == self.pending.len() {
            self.pending.clear();
            self.start = 0;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.room() < CHUNK {
            ready!(self.poll_some(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_all(cx))?;
        ready!(self.inner.as_mut().poll_flush(cx))?;
        self.dirty = false;
        self.flushing = false;
        Poll::Ready(Ok(()))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.dirty || self.room() < CHUNK {
            ready!(self.poll_flush(cx))?;
        }
        self.inner.as_mut().poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes everything, and is never done with a flush.
    struct Unflushed;

    impl AsyncWrite for Unflushed {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn nothing_may_be_written_during_a_flush() {
        let mut sink = Sink::new(Box::pin(Unflushed));
        sink.write(b"before").unwrap();
        sink.flush().unwrap();
        assert_eq!(sink.check_write().unwrap(), 0);
        sink.write(b"").unwrap();
        let refused = sink.write(b"x");
        assert!(matches!(refused, Err(StreamError::Trap(_))), "{refused:?}");
    }
}
