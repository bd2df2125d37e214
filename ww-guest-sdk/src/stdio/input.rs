use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::AsyncRead;
use wasip2::io::error::Error;
use wasip2::io::streams::{InputStream, StreamError};

use crate::watch::Watch;

/// Bytes from the host.
#[derive(Debug)]
pub struct Input {
    // Dropped before the stream.
    readable: Watch,
    stream: InputStream,
}

impl Input {
    pub(crate) fn new(stream: InputStream) -> Self {
        Self {
            readable: Watch::new(stream.subscribe()),
            stream,
        }
    }

    /// Reads as `AsyncRead` does, with what `failure` makes of the host's.
    pub(crate) fn poll_read_or(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        failure: impl FnOnce(&Error) -> io::Error,
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match self.stream.read(buffer.len() as u64) {
                Ok(bytes) if bytes.is_empty() => ready!(self.readable.poll_ready(cx)),
                Ok(bytes) => {
                    buffer[..bytes.len()].copy_from_slice(&bytes);
                    return Poll::Ready(Ok(bytes.len()));
                }
                Err(StreamError::Closed) => return Poll::Ready(Ok(0)),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Poll::Ready(Err(failure(&error)));
                }
            }
        }
    }
}

impl AsyncRead for Input {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_or(cx, buffer, super::failure)
    }
}
