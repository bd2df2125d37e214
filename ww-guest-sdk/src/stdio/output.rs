use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::AsyncWrite;
use wasip2::io::streams::{OutputStream, StreamError};

use crate::watch::Watch;

/// Bytes to the host.
#[derive(Debug)]
pub struct Output {
    // Dropped before the stream.
    writable: Watch,
    stream: OutputStream,
    /// A flush was asked for, and nothing was written since.
    flushing: bool,
}

impl Output {
    pub(crate) fn new(stream: OutputStream) -> Self {
        Self {
            writable: Watch::new(stream.subscribe()),
            stream,
            flushing: false,
        }
    }

    /// Waits for room; answers how many bytes there is room for.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.check_write().map_err(io_error)? {
                0 => ready!(self.writable.poll_ready(cx)),
                room => {
                    return Poll::Ready(Ok(usize::try_from(room).unwrap_or(usize::MAX)));
                }
            }
        }
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = ready!(self.poll_room(cx))?.min(bytes.len());
        self.stream.write(&bytes[..len]).map_err(io_error)?;
        self.flushing = false;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.flushing {
            self.stream.flush().map_err(io_error)?;
            self.flushing = true;
        }
        // There is room again once a flush is done.
        ready!(self.poll_room(cx))?;
        self.flushing = false;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

fn io_error(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => super::failure(&error),
    }
}
