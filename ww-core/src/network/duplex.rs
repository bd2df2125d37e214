use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};

use crate::pipe;

/// A stream of bytes to and from a peer. Dropping it closes both directions.
pub type Duplex = Box<dyn ReadWrite>;

/// What a [`Duplex`] is made of: anything that reads and writes.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// Bytes in flight in each direction of a stream between two hosts in memory.
const BOUND: usize = 64 * 1024;

/// One end of a stream in memory.
struct End {
    reader: pipe::Reader,
    writer: pipe::Writer,
}

/// Both ends of a stream in memory.
pub(super) fn duplex() -> (Duplex, Duplex) {
    let (here, there_reads) = pipe::pipe(BOUND);
    let (there, here_reads) = pipe::pipe(BOUND);
    (
        Box::new(End {
            reader: here_reads,
            writer: here,
        }),
        Box::new(End {
            reader: there_reads,
            writer: there,
        }),
    )
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for End {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}
