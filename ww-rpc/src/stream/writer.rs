use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use capnp::Error;
use capnp::capability::Promise;
use futures::{AsyncWrite, FutureExt, TryFutureExt};

use crate::peer_capnp::byte_stream::Client;
use crate::stream::fault::fault;

/// The most bytes of one push. The window of a stream is as large, and two are
/// on their way at a time.
const PART: usize = 64 * 1024;

/// The write end of a stream of bytes, as an [`AsyncWrite`].
///
/// A write is a `push`, of at most 64 KiB: it returns when the call was sent,
/// and waits first where as much is under way as the RPC system's flow control
/// allows. It has no buffer, so who writes a few bytes at a time wants a
/// [`BufWriter`](futures::io::BufWriter) around it. The stream's server must
/// have `push`, as all of this project have.
///
/// Flushing waits until the stream has all that was written. Closing does too,
/// and closes this direction, which is what the reader at the other end sees as
/// the end. Dropping it closes nothing by itself, but lets go of the capability:
/// the stream closes with the last who does, and pushes that were not flushed
/// may be lost.
///
/// # Errors
///
/// A push that fails shows at the next write, flush or close, and every one
/// after it fails in the same way, since bytes are missing from then on. Kinds
/// are those of [`Reader`](crate::stream::Reader). Writing after the end is
/// `BrokenPipe`.
///
/// # Cancel safety
///
/// A write that is given up has written nothing; one that resolved is not taken
/// back.
pub struct Writer {
    /// `None` once closed.
    stream: Option<Client>,
    /// Resolves when there is room for another push.
    pushed: Option<Promise<(), Error>>,
    /// A flush or a close that is under way.
    settling: Option<(Settling, Promise<(), Error>)>,
    /// Whether something was pushed that no flush has seen.
    dirty: bool,
    failed: Option<Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settling {
    Flush,
    Close,
}

impl Writer {
    /// Writes to `stream`, after all that was written to it.
    pub fn new(stream: Client) -> Self {
        Self {
            stream: Some(stream),
            pushed: None,
            settling: None,
            dirty: false,
            failed: None,
        }
    }

    /// Waits until another push may be sent.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(fault(error.clone())));
        }
        if let Some(pushed) = &mut self.pushed {
            let pushed = ready!(pushed.poll_unpin(cx));
            self.pushed = None;
            self.settled(pushed)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for a call behind all pushes.
    fn poll_settled(
        &mut self,
        cx: &mut Context<'_>,
        what: Settling,
        call: impl FnOnce(&Client) -> Promise<(), Error>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_room(cx))?;
        let Some(stream) = &self.stream else {
            return Poll::Ready(Ok(()));
        };
        let (what, promise) = match &mut self.settling {
            // The end comes after all that was written, too.
            Some(settling) if settling.0 == what || settling.0 == Settling::Close => settling,
            other => other.insert((what, call(stream))),
        };
        let settled = ready!(promise.poll_unpin(cx));
        let closed = *what == Settling::Close;
        self.settling = None;
        self.settled(settled)?;
        self.dirty = false;
        if closed {
            self.stream = None;
        }
        Poll::Ready(Ok(()))
    }

    /// Remembers an error.
    fn settled(&mut self, outcome: Result<(), Error>) -> io::Result<()> {
        outcome.map_err(|error| {
            self.failed = Some(error.clone());
            fault(error)
        })
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_room(cx))?;
        let closing = matches!(this.settling, Some((Settling::Close, _)));
        let Some(stream) = this.stream.as_ref().filter(|_| !closing) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let count = bytes.len().min(PART);
        let mut request = stream.push_request();
        request.get().set_data(&bytes[..count]);
        let mut pushed = request.send();
        // A flush that was given up does not see this.
        this.settling = None;
        this.dirty = true;
        // Nothing is sent before it is polled where the server is local.
        match pushed.poll_unpin(cx) {
            Poll::Pending => this.pushed = Some(pushed),
            Poll::Ready(pushed) => this.settled(pushed)?,
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_room(cx))?;
        if !this.dirty {
            return Poll::Ready(Ok(()));
        }
        // Answered after what was pushed before it.
        this.poll_settled(cx, Settling::Flush, |stream| {
            let sent = stream.write_request().send().promise;
            Promise::from_future(sent.map_ok(drop))
        })
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_settled(cx, Settling::Close, |stream| {
            let sent = stream.finish_request().send().promise;
            Promise::from_future(sent.map_ok(drop))
        })
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("closed", &self.stream.is_none())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
