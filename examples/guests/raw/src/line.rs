use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::executor::LocalPool;
use futures::{AsyncRead, AsyncWrite, FutureExt};
use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream};

use crate::{Connection, create_connection};

/// The connection as futures' streams, and the loop that drives them.
pub struct Line {
    waiting: Rc<RefCell<Option<Waker>>>,
    readable: Pollable,
    input: Rc<InputStream>,
    output: Rc<OutputStream>,
    _connection: Connection,
}

pub struct Reader {
    input: Rc<InputStream>,
    waiting: Rc<RefCell<Option<Waker>>>,
}

pub struct Writer(Rc<OutputStream>);

impl Line {
    pub fn open() -> Self {
        let connection = create_connection();
        let input = Rc::new(connection.get_input_stream());
        Self {
            waiting: Rc::default(),
            readable: input.subscribe(),
            input,
            output: Rc::new(connection.get_output_stream()),
            _connection: connection,
        }
    }

    pub fn reader(&self) -> Reader {
        Reader {
            input: self.input.clone(),
            waiting: self.waiting.clone(),
        }
    }

    pub fn writer(&self) -> Writer {
        Writer(self.output.clone())
    }

    /// Runs `pool` until `main` is done; waits for the host whenever nothing
    /// in the pool can go on.
    pub fn run<T>(self, pool: &mut LocalPool, main: impl Future<Output = T>) -> T {
        let mut main = pin!(main);
        loop {
            pool.run_until_stalled();
            if let Some(output) = main.as_mut().now_or_never() {
                return output;
            }
            self.readable.block();
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.input.read(buffer.len() as u64) {
            Ok(bytes) if bytes.is_empty() => {
                self.waiting.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
            Ok(bytes) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Err(_) => Poll::Ready(Ok(0)),
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = bytes.len().min(4096);
        match self.0.blocking_write_and_flush(&bytes[..len]) {
            Ok(()) => Poll::Ready(Ok(len)),
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
