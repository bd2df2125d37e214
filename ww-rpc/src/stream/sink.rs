use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};

use capnp::Error;
use futures::AsyncWrite;

use crate::peer_capnp::byte_stream::{
    self, CloseParams, CloseResults, FinishParams, FinishResults, PushParams, ReadParams,
    ReadResults, WriteParams, WriteResults,
};
use crate::stream::client::client;
use crate::stream::fault::failure;
use crate::stream::line::Line;

/// Serves the write end of a stream of bytes.
///
/// Writes are carried out in the order in which they came. Closing the stream
/// closes `writer`, and comes to the same for whoever closes it again; dropping the
/// last reference to the capability drops it. Writes that wait then, or come later,
/// fail. A write whose caller gave up may have been carried out in part. Once a push
/// has failed all writes do, and finishing does, which leaves the stream open. What
/// fails keeps its kind: that of the [`capnp::Error`] within its error, where there
/// is one.
pub fn sink(writer: impl AsyncWrite + Unpin + 'static) -> byte_stream::Client {
    Rc::new(Sink::new("stream", writer, ())).client()
}

/// The server of a write end; [`sink`] is the usual way to one.
pub struct Sink<W, H> {
    name: &'static str,
    writer: RefCell<Writer<W>>,
    line: Rc<Line>,
    /// Of those that close the writer.
    ending: Rc<Line>,
    /// Why the first push failed that did. Who pushes may hear of it only from what
    /// comes after.
    missing: OnceCell<Error>,
    _held: H,
}

enum Writer<W> {
    Open(W),
    Closed(Result<(), Error>),
}

impl<W, H> Sink<W, H> {
    /// Serves `writer`, called `name` in errors, and holds `held` for as long
    /// as the capability lives, closed or not.
    pub fn new(name: &'static str, writer: W, held: H) -> Self {
        Self {
            name,
            writer: RefCell::new(Writer::Open(writer)),
            line: Rc::default(),
            ending: Rc::default(),
            missing: OnceCell::new(),
            _held: held,
        }
    }

    /// That all is there that was pushed until now.
    fn whole(&self) -> Result<(), Error> {
        self.missing.get().cloned().map_or(Ok(()), Err)
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
            let turn = ready!(turn.poll(cx));
            self.whole()?;
            turn.map_err(|_| self.closed())?;
            let mut writer = self.writer.borrow_mut();
            let Writer::Open(writer) = &mut *writer else {
                return Poll::Ready(Err(self.closed()));
            };
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
        let turn = self.ending.join();
        poll_fn(|cx| {
            // Nobody closes this line.
            let _ = ready!(turn.poll(cx));
            let closed = match &mut *self.writer.borrow_mut() {
                Writer::Open(writer) => ready!(Pin::new(writer).poll_close(cx)),
                Writer::Closed(outcome) => return Poll::Ready(outcome.clone()),
            };
            let closed = closed.map_err(|error| self.failure(error));
            drop(self.writer.replace(Writer::Closed(closed.clone())));
            Poll::Ready(closed)
        })
        .await
    }

    fn unreadable(&self) -> Error {
        Error::failed(format!(
            "this is the write end of {}: it cannot be read",
            self.name
        ))
    }
}

impl<W: AsyncWrite + Unpin + 'static, H: 'static> Sink<W, H> {
    /// The stream. All that are made of one end are the same.
    pub fn client(self: Rc<Self>) -> byte_stream::Client {
        client(self)
    }
}

impl<W: AsyncWrite + Unpin + 'static, H: 'static> byte_stream::Server for Sink<W, H> {
    async fn write(self: Rc<Self>, params: WriteParams, _: WriteResults) -> Result<(), Error> {
        self.put(params.get()?.get_data()?).await
    }

    async fn push(self: Rc<Self>, params: PushParams) -> Result<(), Error> {
        let pushed = self.put(params.get()?.get_data()?).await;
        pushed.inspect_err(|error| {
            let _ = self.missing.set(error.clone());
        })
    }

    async fn finish(self: Rc<Self>, _: FinishParams, _: FinishResults) -> Result<(), Error> {
        {
            let turn = self.line.join();
            // Closed already is finished already.
            let _ = poll_fn(|cx| turn.poll(cx)).await;
        }
        self.whole()?;
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
