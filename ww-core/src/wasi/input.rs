use std::fmt;
use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use blocking::Unblock;
use bytes::Bytes;
use futures::AsyncRead;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynInputStream, InputStream, StreamError, StreamResult};

use super::CHUNK;
use super::stdio::failed;
use crate::pipe;

/// Where a guest's standard input comes from. A guest may open it several
/// times; all of them read the same bytes.
#[derive(Debug)]
pub(crate) struct Stdin {
    source: Source,
    terminal: bool,
}

impl Stdin {
    /// At its end from the start.
    pub(crate) fn empty() -> Self {
        Source::Empty.into()
    }

    pub(crate) fn pipe(reader: pipe::Reader) -> Self {
        Source::Pipe(Arc::new(reader)).into()
    }

    pub(crate) fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Source::Reader(Arc::new(Mutex::new(Buffered::new(Box::pin(reader))))).into()
    }

    /// The host's own standard input, read on the blocking pool.
    pub(crate) fn inherit() -> Self {
        let stdin = io::stdin();
        Self {
            terminal: stdin.is_terminal(),
            ..Self::reader(Unblock::with_capacity(CHUNK, stdin))
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(super) fn open(&self) -> DynInputStream {
        match &self.source {
            Source::Empty => Box::new(Empty),
            Source::Pipe(reader) => Box::new(FromPipe(Arc::clone(reader))),
            Source::Reader(reader) => Box::new(FromReader(Arc::clone(reader))),
        }
    }
}

impl From<Source> for Stdin {
    fn from(source: Source) -> Self {
        Self {
            source,
            terminal: false,
        }
    }
}

enum Source {
    Empty,
    Pipe(Arc<pipe::Reader>),
    Reader(Arc<Mutex<Buffered>>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Pipe(_) => "Pipe",
            Self::Reader(_) => "Reader",
        })
    }
}

struct Empty;

#[async_trait]
impl Pollable for Empty {
    async fn ready(&mut self) {}
}

impl InputStream for Empty {
    fn read(&mut self, _: usize) -> StreamResult<Bytes> {
        Err(StreamError::Closed)
    }
}

/// The guest's end of a pipe as an input stream.
pub(crate) struct FromPipe(pub(crate) Arc<pipe::Reader>);

#[async_trait]
impl Pollable for FromPipe {
    async fn ready(&mut self) {
        self.0.readable().await;
    }
}

#[async_trait]
impl InputStream for FromPipe {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let bytes = self.0.drain(size.min(CHUNK));
        if bytes.is_empty() && self.0.is_finished() {
            return Err(StreamError::Closed);
        }
        Ok(bytes.into())
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        loop {
            let bytes = self.read(size)?;
            if !bytes.is_empty() {
                return Ok(bytes);
            }
            self.0.readable().await;
            if size == 0 {
                return self.read(size);
            }
        }
    }
}

struct FromReader(Arc<Mutex<Buffered>>);

impl FromReader {
    fn lock(&self) -> MutexGuard<'_, Buffered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Pollable for FromReader {
    async fn ready(&mut self) {
        poll_fn(|cx| self.lock().poll_fill(cx)).await;
    }
}

impl InputStream for FromReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut buffered = self.lock();
        // A guest may also look without ever waiting.
        let _ = buffered.poll_fill(&mut Context::from_waker(Waker::noop()));
        buffered.take(size)
    }
}

/// Bytes read ahead of the guest, never more than one chunk.
struct Buffered {
    inner: Pin<Box<dyn AsyncRead + Send>>,
    /// What is left to hand out is `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    state: State,
}

enum State {
    Open,
    Failed(io::Error),
    Ended,
}

impl Buffered {
    fn new(inner: Pin<Box<dyn AsyncRead + Send>>) -> Self {
        Self {
            inner,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            state: State::Open,
        }
    }

    /// Ready once there is something to take: bytes, a failure or the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.start < self.end || !matches!(self.state, State::Open) {
            return Poll::Ready(());
        }
        self.buffer.resize(CHUNK, 0);
        match ready!(self.inner.as_mut().poll_read(cx, &mut self.buffer)) {
            Ok(0) => self.state = State::Ended,
            Ok(count) => {
                self.start = 0;
                self.end = count;
            }
            Err(error) => self.state = State::Failed(error),
        }
        Poll::Ready(())
    }

    fn take(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.start < self.end {
            let count = size.min(self.end - self.start);
            let bytes = Bytes::copy_from_slice(&self.buffer[self.start..self.start + count]);
            self.start += count;
            return Ok(bytes);
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Open => {
                self.state = State::Open;
                Ok(Bytes::new())
            }
            State::Failed(error) => Err(failed(error)),
            State::Ended => {
                self.buffer = Vec::new();
                Err(StreamError::Closed)
            }
        }
    }
}
