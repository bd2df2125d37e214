//! A peer that is written by hand, message by message.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use capnp::capability::{Client, FromClientHook};
use capnp::message::ReaderOptions;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_capnp::message;
use capnp_rpc::rpc_twoparty_capnp::Side as Stock;
use capnp_rpc::twoparty::VatNetwork;
use futures::future::Either;
use futures::{AsyncRead, AsyncWrite};
use ww_rpc::{Limits, Side, Vat};

/// A vat whose peer says whatever it likes.
pub struct Hosted {
    vat: Option<Either<Vat, RpcSystem<Stock>>>,
    said: Rc<RefCell<VecDeque<u8>>>,
    heard: Rc<RefCell<VecDeque<u8>>>,
    reader: Rc<RefCell<Option<Waker>>>,
    pub ended: Option<Result<(), capnp::Error>>,
}

struct Said(Rc<RefCell<VecDeque<u8>>>, Rc<RefCell<Option<Waker>>>);

struct Heard(Rc<RefCell<VecDeque<u8>>>);

impl Hosted {
    pub fn new(bootstrap: Option<Client>) -> Self {
        Self::limited(bootstrap, Limits::default())
    }

    pub fn limited(bootstrap: Option<Client>, limits: Limits) -> Self {
        Self::with(|said, heard| {
            let vat = Vat::new(said, heard, Side::Server, bootstrap, limits);
            Either::Left(vat)
        })
    }

    /// A vat of capnp-rpc's own, which lets more pass.
    pub fn stock(bootstrap: Client) -> Self {
        Self::with(|said, heard| {
            let network = VatNetwork::new(said, heard, Stock::Server, ReaderOptions::new());
            Either::Right(RpcSystem::new(Box::new(network), Some(bootstrap)))
        })
    }

    fn with(vat: impl FnOnce(Said, Heard) -> Either<Vat, RpcSystem<Stock>>) -> Self {
        let (said, heard, reader) = (Rc::default(), Rc::default(), Rc::default());
        let vat = vat(
            Said(Rc::clone(&said), Rc::clone(&reader)),
            Heard(Rc::clone(&heard)),
        );
        Self {
            vat: Some(vat),
            said,
            heard,
            reader,
            ended: None,
        }
    }

    /// What the peer exports.
    pub fn bootstrap<C: FromClientHook>(&mut self) -> C {
        match self.vat.as_mut().unwrap() {
            Either::Left(vat) => vat.bootstrap(),
            Either::Right(vat) => vat.bootstrap(Stock::Client),
        }
    }

    /// Has the peer say something, and lets the vat come to rest.
    pub fn say(&mut self, bytes: Vec<u8>) {
        self.said.borrow_mut().extend(bytes);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.settle(&mut std::future::pending::<()>());
    }

    /// Polls the vat and `work` until nothing wakes them any more.
    pub fn settle<T>(&mut self, work: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        #[derive(Default)]
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            woken.0.store(false, Ordering::Relaxed);
            if let Some(vat) = &mut self.vat
                && let Poll::Ready(ended) = Pin::new(vat).poll(&mut cx)
            {
                self.vat = None;
                self.ended = Some(ended);
            }
            if let Poll::Ready(output) = Pin::new(&mut *work).poll(&mut cx) {
                return Some(output);
            }
            if !woken.0.load(Ordering::Relaxed) {
                return None;
            }
        }
    }

    /// The messages that the peer has got since it last asked.
    pub fn heard(&mut self, mut each: impl FnMut(message::Reader<'_>)) {
        let bytes: Vec<u8> = self.heard.borrow_mut().drain(..).collect();
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            let message = capnp::serialize::read_message(&mut bytes, ReaderOptions::new()).unwrap();
            each(message.get_root().unwrap());
        }
    }
}

impl AsyncRead for Said {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        let mut said = self.0.borrow_mut();
        if said.is_empty() {
            *self.1.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = said.len().min(into.len());
        for (byte, said) in into.iter_mut().zip(said.drain(..count)) {
            *byte = said;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.borrow_mut().extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
