use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};

use capnp::Error;
use futures::{AsyncWrite, AsyncWriteExt};

use crate::peer_capnp::byte_stream::{
    self, CloseParams, CloseResults, FinishParams, FinishResults, PushParams, ReadParams,
    ReadResults, WriteParams, WriteResults,
};
use crate::stream::fault::failure;
use crate::stream::line::Line;

/// Serves the write end of a stream of bytes.
///
/// Writes are carried out in the order in which they came. Closing the stream
/// closes `writer`, and dropping the last reference to the capability drops it;
/// writes that wait then, or come later, fail. A write whose caller gave up may
/// have been carried out in part. One that fails keeps its kind: that of the
/// [`capnp::Error`] within its error, where there is one.
pub fn sink(writer: impl AsyncWrite + Unpin + 'static) -> byte_stream::Client {
    capnp_rpc::new_client(Sink::new("stream", writer, ()))
}

/// The server of a write end; [`sink`] is the usual way to one.
pub struct Sink<W, H> {
    name: &'static str,
    writer: RefCell<Option<W>>,
    line: Rc<Line>,
    _held: H,
}

impl<W, H> Sink<W, H> {
    /// Serves `writer`, called `name` in errors, and holds `held` for as long
    /// as the capability lives, closed or not.
    pub fn new(name: &'static str, writer: W, held: H) -> Self {
        Self {
            name,
            writer: RefCell::new(Some(writer)),
            line: Rc::default(),
            _held: held,
        }
    }

    fn closed(&self) -> Error {
        Error::failed(format!("{} is closed", self.name))
    }

    fn failure(&self, error: std::io::Error) -> Error {
        failure(format!("cannot write to {}", self.name), error)
    }
}

impl<W: AsyncWrite + Unpin, H> Sink<W, H> {
    async fn put(&self, mut data: &[u8]) -> Result<(), Error> {
        let turn = self.line.join();
        poll_fn(|cx| {
            ready!(turn.poll(cx)).map_err(|_| self.closed())?;
            let mut writer = self.writer.borrow_mut();
            let writer = writer.as_mut().ok_or_else(|| self.closed())?;
            while !data.is_empty() {
                let written = ready!(Pin::new(&mut *writer).poll_write(cx, data));
                match written.map_err(|error| self.failure(error))? {
                    0 => {
                        return Poll::Ready(
                            Err(self.failure(std::io::ErrorKind::WriteZero.into())),
                        );
                    }
                    written => data = &data[written..],
                }
            }
            Pin::new(writer)
                .poll_flush(cx)
                .map_err(|error| self.failure(error))
        })
        .await
    }

    async fn end(&self) -> Result<(), Error> {
        self.line.close();
        let writer = self.writer.take();
        match writer {
            Some(mut writer) => writer.close().await.map_err(|error| self.failure(error)),
            None => Ok(()),
        }
    }

    fn unreadable(&self) -> Error {
        Error::failed(format!(
            "this is the write end of {}: it cannot be read",
            self.name
        ))
    }
}

impl<W: AsyncWrite + Unpin + 'static, H: 'static> byte_stream::Server for Sink<W, H> {
    async fn write(self: Rc<Self>, params: WriteParams, _: WriteResults) -> Result<(), Error> {
        self.put(params.get()?.get_data()?).await
    }

    async fn push(self: Rc<Self>, params: PushParams) -> Result<(), Error> {
        self.put(params.get()?.get_data()?).await
    }

    async fn finish(self: Rc<Self>, _: FinishParams, _: FinishResults) -> Result<(), Error> {
        {
            let turn = self.line.join();
            // Closed already is finished already.
            let _ = poll_fn(|cx| turn.poll(cx)).await;
        }
        self.end().await
    }

    async fn close(self: Rc<Self>, _: CloseParams, _: CloseResults) -> Result<(), Error> {
        self.end().await
    }

    async fn read(self: Rc<Self>, _: ReadParams, _: ReadResults) -> Result<(), Error> {
        Err(self.unreadable())
    }
}

impl<W, H> fmt::Debug for Sink<W, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink")
            .field("name", &self.name)
            .field("closed", &self.line.is_closed())
            .finish_non_exhaustive()
    }
}
