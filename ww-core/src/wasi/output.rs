use std::fmt;
use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use blocking::Unblock;
use bytes::Bytes;
use futures::AsyncWrite;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynOutputStream, OutputStream, StreamError, StreamResult};

use self::sink::Sink;
use super::CHUNK;
use crate::pipe;

mod sink;

/// Where a guest's standard output or error goes. A guest may open it several
/// times; all of them write to the same place.
#[derive(Clone)]
pub(crate) struct Stdout {
    target: Target,
    terminal: bool,
}

impl Stdout {
    /// Accepts everything and keeps nothing.
    pub(crate) fn discard() -> Self {
        Target::Nowhere.into()
    }

    pub(crate) fn pipe(writer: pipe::Writer) -> Self {
        Target::Pipe(Arc::new(writer)).into()
    }

    pub(crate) fn writer(writer: impl AsyncWrite + Send + 'static) -> Self {
        Target::Writer(Arc::new(Mutex::new(Sink::new(Box::pin(writer))))).into()
    }

    /// The host's own standard output, written on the blocking pool.
    pub(crate) fn inherit_stdout() -> Self {
        let stdout = io::stdout();
        Self {
            terminal: stdout.is_terminal(),
            ..Self::writer(Unblock::with_capacity(CHUNK, stdout))
        }
    }

    /// The host's own standard error, written on the blocking pool.
    pub(crate) fn inherit_stderr() -> Self {
        let stderr = io::stderr();
        Self {
            terminal: stderr.is_terminal(),
            ..Self::writer(Unblock::with_capacity(CHUNK, stderr))
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes out what the guest has left behind and ends the stream. Waits as
    /// long as whoever takes the bytes does.
    ///
    /// # Errors
    ///
    /// What the stream answered, unless the guest was told.
    pub(crate) fn close(&self) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let target = self.target.clone();
        async move {
            match target {
                Target::Nowhere => Ok(()),
                Target::Pipe(writer) => {
                    writer.finish();
                    Ok(())
                }
                Target::Writer(sink) => poll_fn(|cx| lock(&sink).poll_close(cx)).await,
            }
        }
    }

    /// What keeps a writer going, a task of the cell's.
    pub(crate) fn pump(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let Target::Writer(sink) = self.target.clone() else {
            return None;
        };
        Some(poll_fn(move |cx| match sink.lock() {
            Ok(mut sink) => sink.poll_pump(cx),
            // The writer has panicked, which ends the cell.
            Err(_) => Poll::Ready(()),
        }))
    }

    pub(super) fn open(&self) -> DynOutputStream {
        match &self.target {
            Target::Nowhere => Box::new(Nowhere),
            Target::Pipe(writer) => Box::new(ToPipe(Arc::clone(writer))),
            Target::Writer(sink) => Box::new(ToWriter(Arc::clone(sink))),
        }
    }
}

impl From<Target> for Stdout {
    fn from(target: Target) -> Self {
        Self {
            target,
            terminal: false,
        }
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.target {
            Target::Nowhere => "Nowhere",
            Target::Pipe(_) => "Pipe",
            Target::Writer(_) => "Writer",
        };
        f.debug_struct("Stdout")
            .field("target", &target)
            .field("terminal", &self.terminal)
            .finish()
    }
}

#[derive(Clone)]
enum Target {
    Nowhere,
    Pipe(Arc<pipe::Writer>),
    Writer(Arc<Mutex<Sink>>),
}

/// A guest that writes without having asked how much it may breaks the
/// contract of `wasi:io/streams`, which says that this traps.
pub(super) fn too_much() -> StreamError {
    StreamError::trap("the guest wrote more than check-write permitted")
}

struct Nowhere;

#[async_trait]
impl Pollable for Nowhere {
    async fn ready(&mut self) {}
}

impl OutputStream for Nowhere {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > CHUNK {
            return Err(too_much());
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

/// The guest's end of a pipe as an output stream.
pub(crate) struct ToPipe(pub(crate) Arc<pipe::Writer>);

#[async_trait]
impl Pollable for ToPipe {
    async fn ready(&mut self) {
        let _ = self.0.writable().await;
    }
}

#[async_trait]
impl OutputStream for ToPipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.0.try_write(&bytes) {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(_) => Err(too_much()),
            Err(pipe::Closed) => Err(StreamError::Closed),
        }
    }

    /// Bytes are with the reader as soon as they are written.
    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(|_| ())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.room().map_err(|pipe::Closed| StreamError::Closed)
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut left = &bytes[..];
        loop {
            let count = self
                .0
                .try_write(left)
                .map_err(|pipe::Closed| StreamError::Closed)?;
            left = &left[count..];
            if left.is_empty() {
                return Ok(());
            }
            self.ready().await;
        }
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        self.0
            .writable()
            .await
            .map_err(|pipe::Closed| StreamError::Closed)
    }
}

struct ToWriter(Arc<Mutex<Sink>>);

fn lock(sink: &Mutex<Sink>) -> MutexGuard<'_, Sink> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Pollable for ToWriter {
    async fn ready(&mut self) {
        poll_fn(|cx| lock(&self.0).poll_ready(cx)).await;
    }
}

#[async_trait]
impl OutputStream for ToWriter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.0).write(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        lock(&self.0).flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        lock(&self.0).check_write()
    }

    /// A stream that is closed on the way has not taken everything.
    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while !bytes.is_empty() {
            let room = self.write_ready().await?;
            self.write(bytes.split_to(room.min(bytes.len())))?;
        }
        self.flush()?;
        self.write_ready().await?;
        Ok(())
    }
}
