use std::sync::Arc;
use std::task::{Context, Poll};

use capnp::Error;
use futures::{AsyncRead, AsyncWrite};

use crate::Traffic;
use crate::frame::{Frame, Frames};
use crate::link::Link;
use crate::outbox::Outbox;

/// What a connection goes over, whichever two streams that are.
pub(crate) trait Streams {
    /// Waits for the peer to say something. False where it never will, and has
    /// ended cleanly.
    fn poll_begun(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<bool>;

    /// The next message, `None` after a clean end, once calls have settled.
    fn poll_incoming(
        &mut self,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame>, Error>>;

    /// Writes what is queued. Ready when the connection is over for writing.
    fn poll_outgoing(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<()>;
}

pub(crate) struct Pair<R, W> {
    frames: Frames<R>,
    outbox: Outbox<W>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Pair<R, W> {
    pub(crate) fn new(reader: R, writer: W, message_words: usize, traffic: Arc<Traffic>) -> Self {
        Self {
            frames: Frames::new(reader, message_words, traffic.clone()),
            outbox: Outbox::new(writer, traffic),
        }
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Streams for Pair<R, W> {
    fn poll_begun(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<bool> {
        link.poll_begun(cx, &mut self.frames)
    }

    fn poll_incoming(
        &mut self,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame>, Error>> {
        link.poll_incoming(cx, &mut self.frames)
    }

    fn poll_outgoing(&mut self, link: &Link, cx: &mut Context<'_>) -> Poll<()> {
        link.poll_outgoing(cx, &mut self.outbox)
    }
}
