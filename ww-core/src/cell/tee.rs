use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::AsyncWrite;

use super::lines::Lines;
use crate::pipe;

/// Tells what is written to it line by line, and pipes it.
pub(super) struct Tee {
    lines: Lines,
    pipe: pipe::Writer,
    /// Bytes that are told and still to be piped. They are written again first.
    told: usize,
}

impl Tee {
    pub(super) fn new(lines: Lines, pipe: pipe::Writer) -> Self {
        Self {
            lines,
            pipe,
            told: 0,
        }
    }
}

impl AsyncWrite for Tee {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.told == 0 {
            this.told = ready!(Pin::new(&mut this.lines).poll_write(cx, bytes))?;
        }
        let told = &bytes[..this.told.min(bytes.len())];
        let piped = ready!(Pin::new(&mut this.pipe).poll_write(cx, told))?;
        this.told -= piped;
        Poll::Ready(Ok(piped))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.lines).poll_close(cx))?;
        Pin::new(&mut self.pipe).poll_close(cx)
    }
}
