use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};

use futures::AsyncRead;

use super::{Shared, State, remember, wake};

/// The end that bytes come out of.
///
/// At most one task waits here at a time: of several, the one that polled last
/// is woken. Dropping the reader closes it: what is in transit is lost and the
/// writer gets [`Closed`](super::Closed).
///
/// # Cancel safety
///
/// A read that is dropped before it was ready has taken no byte.
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Moves bytes to the front of `into`. `Some(0)` is the end of the stream
    /// (or an empty `into`), `None` means that no byte is there yet.
    pub fn try_read(&self, into: &mut [u8]) -> Option<usize> {
        let mut state = self.shared.lock();
        let count = state.ring.pull(into);
        if count == 0 {
            return (into.is_empty() || state.ring.is_finished()).then_some(0);
        }
        let_on(state);
        Some(count)
    }

    /// At most `max` of the bytes that are there. Empty when there are none:
    /// [`Reader::is_finished`] tells whether more can come.
    pub fn drain(&self, max: usize) -> Vec<u8> {
        let mut state = self.shared.lock();
        let bytes = state.ring.take(max);
        if bytes.is_empty() {
            return bytes;
        }
        let_on(state);
        bytes
    }

    /// Appends at most `max` of the bytes that are there to `into` and says
    /// how many.
    pub fn drain_onto(&self, into: &mut Vec<u8>, max: usize) -> usize {
        let mut state = self.shared.lock();
        let count = state.ring.pull_onto(into, max);
        if count == 0 {
            return 0;
        }
        let_on(state);
        count
    }

    /// Ready with the number of bytes that are there, zero at the end of the
    /// stream.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut state = self.shared.lock();
        if state.ring.len() > 0 || state.ring.is_finished() {
            return Poll::Ready(state.ring.len());
        }
        let displaced = remember(&mut state.reading, cx.waker());
        drop(state);
        drop(displaced);
        Poll::Pending
    }

    /// Waits until bytes are there, and says how many; zero at the end of the
    /// stream.
    ///
    /// # Cancel safety
    ///
    /// Takes nothing.
    pub async fn readable(&self) -> usize {
        std::future::poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// How many bytes are there.
    pub fn len(&self) -> usize {
        self.shared.lock().ring.len()
    }

    /// No byte is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The writer is closed; bytes may be left.
    pub fn is_closed(&self) -> bool {
        !self.shared.lock().ring.is_writer_open()
    }

    /// The writer is closed and every byte was read.
    pub fn is_finished(&self) -> bool {
        self.shared.lock().ring.is_finished()
    }

    /// Whether a full pipe accepts bytes and discards them, rather than make
    /// the writer wait. For output that nobody reads at the moment.
    pub fn set_lossy(&self, lossy: bool) {
        let mut state = self.shared.lock();
        state.ring.set_lossy(lossy);
        let waiting = if lossy { state.writing.take() } else { None };
        drop(state);
        wake(waiting);
    }

    /// How many bytes a lossy pipe has discarded so far.
    pub fn discarded(&self) -> u64 {
        self.shared.lock().ring.discarded()
    }

    fn close(&self) {
        let mut state = self.shared.lock();
        state.ring.close_reader();
        let stale = state.reading.take();
        let waiting = state.writing.take();
        drop(state);
        drop(stale);
        wake(waiting);
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(count) = self.try_read(into) {
                return Poll::Ready(Ok(count));
            }
            // Bytes may have arrived in between, hence the loop.
            if self.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Wakes the writer, who has more room than before.
fn let_on(mut state: MutexGuard<'_, State>) {
    let waiting = state.writing.take();
    drop(state);
    wake(waiting);
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
