//! The standard streams of a test: nothing to read, and what is written goes
//! where the test's own output goes.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a guest prints to its standard streams"
)]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};

/// Bytes from the host: none.
#[derive(Debug)]
pub struct Input;

/// Bytes to the host.
#[derive(Debug)]
pub struct Output {
    error: bool,
}

impl Output {
    /// Standard error, or standard output.
    pub(super) fn printing(error: bool) -> Self {
        Self { error }
    }
}

impl AsyncRead for Input {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(0))
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let text = String::from_utf8_lossy(bytes);
        // The macros, because a test's output is captured there.
        if self.error {
            eprint!("{text}");
        } else {
            print!("{text}");
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
