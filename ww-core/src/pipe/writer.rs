use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::AsyncWrite;

use super::{Closed, Shared, remember, wake};

/// The end that bytes go into.
///
/// At most one task waits here at a time: of several, the one that polled last
/// is woken. Dropping the writer closes it: the reader gets what is in transit
/// and then the end of the stream.
///
/// # Cancel safety
///
/// A write that is dropped before it was ready has written no byte.
pub struct Writer {
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Takes bytes from the front of `bytes` and says how many; zero when the
    /// pipe is full.
    ///
    /// # Errors
    ///
    /// [`Closed`] when either end is closed.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, Closed> {
        let mut state = self.shared.lock();
        let count = state.ring.push(bytes).ok_or(Closed)?;
        let waiting = if count > 0 {
            state.reading.take()
        } else {
            None
        };
        drop(state);
        wake(waiting);
        Ok(count)
    }

    /// How many bytes [`Writer::try_write`] takes now.
    ///
    /// # Errors
    ///
    /// [`Closed`] when either end is closed.
    pub fn room(&self) -> Result<usize, Closed> {
        self.shared.lock().ring.room().ok_or(Closed)
    }

    /// Ready with the number of bytes there is room for, at least one.
    ///
    /// # Errors
    ///
    /// [`Closed`] when either end is closed.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<Result<usize, Closed>> {
        let mut state = self.shared.lock();
        match state.ring.room() {
            None => Poll::Ready(Err(Closed)),
            Some(0) => {
                let displaced = remember(&mut state.writing, cx.waker());
                drop(state);
                drop(displaced);
                Poll::Pending
            }
            Some(room) => Poll::Ready(Ok(room)),
        }
    }

    /// Waits until there is room, and says for how many bytes.
    ///
    /// # Errors
    ///
    /// [`Closed`] when either end is closed.
    ///
    /// # Cancel safety
    ///
    /// Writes nothing.
    pub async fn writable(&self) -> Result<usize, Closed> {
        std::future::poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// The reader is gone.
    pub fn is_closed(&self) -> bool {
        !self.shared.lock().ring.is_reader_open()
    }

    /// Ends the stream, as dropping the writer does.
    pub fn finish(&self) {
        let mut state = self.shared.lock();
        state.ring.close_writer();
        let stale = state.writing.take();
        let waiting = state.reading.take();
        drop(state);
        // A task that waits to write through a shared reference learns of it.
        wake(stale);
        wake(waiting);
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match self.try_write(bytes) {
                Ok(0) => {}
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(closed) => return Poll::Ready(Err(closed.into())),
            }
            // Room may have appeared in between, hence the loop.
            if self.poll_writable(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Bytes are with the reader as soon as they are written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("room", &self.room().ok())
            .finish_non_exhaustive()
    }
}
