use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};

use capnp::Error;
use futures::AsyncRead;

use crate::peer_capnp::byte_stream::{
    self, CloseParams, CloseResults, FinishParams, FinishResults, PushParams, ReadParams,
    ReadResults, WriteParams, WriteResults,
};
use crate::stream::client::client;
use crate::stream::fault::failure;
use crate::stream::line::Line;

/// The most bytes that one `read` answers with.
pub const MAX_READ: u32 = 64 * 1024;

thread_local! {
    /// What readers write into before it is copied into an answer. One for all
    /// streams of a thread, so that a stream that waits holds none.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves the read end of a stream of bytes.
///
/// Reads are answered in the order in which they came. Closing the stream, or
/// dropping the last reference to the capability, drops `reader`; reads that
/// wait then, or come later, answer the end of the stream. A read that fails keeps its
/// kind: that of the [`capnp::Error`] within its error, where there is one.
pub fn source(reader: impl AsyncRead + Unpin + 'static) -> byte_stream::Client {
    Rc::new(Source::new("stream", reader, ())).client()
}

/// The server of a read end; [`source`] is the usual way to one.
pub struct Source<R, H> {
    name: &'static str,
    reader: RefCell<Option<R>>,
    line: Rc<Line>,
    _held: H,
}

impl<R, H> Source<R, H> {
    /// Serves `reader`, called `name` in errors, and holds `held` for as long
    /// as the capability lives, closed or not.
    pub fn new(name: &'static str, reader: R, held: H) -> Self {
        Self {
            name,
            reader: RefCell::new(Some(reader)),
            line: Rc::default(),
            _held: held,
        }
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.line.is_closed()
    }

    fn end(&self) {
        self.line.close();
        drop(self.reader.take());
    }

    fn unwritable(&self) -> Error {
        Error::failed(format!(
            "this is the read end of {}: it cannot be written",
            self.name
        ))
    }
}

impl<R: AsyncRead + Unpin + 'static, H: 'static> Source<R, H> {
    /// The stream. All that are made of one end are the same.
    pub fn client(self: Rc<Self>) -> byte_stream::Client {
        client(self)
    }
}

impl<R: AsyncRead + Unpin + 'static, H: 'static> byte_stream::Server for Source<R, H> {
    async fn read(
        self: Rc<Self>,
        params: ReadParams,
        mut results: ReadResults,
    ) -> Result<(), Error> {
        let most = params.get()?.get_max_bytes().min(MAX_READ) as usize;
        if most == 0 {
            results.get().init_data(0);
            return Ok(());
        }
        let turn = self.line.join();
        poll_fn(|cx| {
            if ready!(turn.poll(cx)).is_err() {
                results.get().init_data(0);
                return Poll::Ready(Ok(()));
            }
            let mut reader = self.reader.borrow_mut();
            let Some(reader) = reader.as_mut() else {
                results.get().init_data(0);
                return Poll::Ready(Ok(()));
            };
            let mut buffer = BUFFER.take();
            if buffer.len() < most {
                buffer.resize(most, 0);
            }
            let polled = Pin::new(reader).poll_read(cx, &mut buffer[..most]);
            if let Poll::Ready(Ok(read)) = polled {
                results.get().set_data(&buffer[..read]);
            }
            BUFFER.set(buffer);
            let failed = |error| failure(format!("cannot read {}", self.name), error);
            polled.map_ok(drop).map_err(failed)
        })
        .await
    }

    async fn close(self: Rc<Self>, _: CloseParams, _: CloseResults) -> Result<(), Error> {
        self.end();
        Ok(())
    }

    async fn finish(self: Rc<Self>, _: FinishParams, _: FinishResults) -> Result<(), Error> {
        Err(self.unwritable())
    }

    async fn write(self: Rc<Self>, _: WriteParams, _: WriteResults) -> Result<(), Error> {
        Err(self.unwritable())
    }

    async fn push(self: Rc<Self>, _: PushParams) -> Result<(), Error> {
        Err(self.unwritable())
    }
}

impl<R, H> fmt::Debug for Source<R, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("closed", &self.line.is_closed())
            .finish_non_exhaustive()
    }
}
