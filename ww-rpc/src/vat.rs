use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use capnp::capability::{Client, FromClientHook};
use capnp::message::ReaderOptions;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Disconnector, RpcSystem, twoparty};
use futures::{AsyncRead, AsyncWrite};

/// Bounds on what one message from the peer may ask of us.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Words (8 bytes each) of one message. A larger one ends the connection.
    pub message_words: usize,
    /// Depth of nested pointers in one message.
    pub nesting: i32,
}

impl Default for Limits {
    /// 64 MiB a message, 64 levels deep.
    fn default() -> Self {
        Self {
            message_words: 8 << 20,
            nesting: 64,
        }
    }
}

/// One side of a two-party Cap'n Proto connection.
///
/// A `Vat` is a future: it must be polled for calls to make progress in either
/// direction. It resolves when the connection has ended.
///
/// Dropping a `Vat` disconnects: calls in flight fail with kind
/// `Disconnected`, and every capability that crossed is released.
#[must_use = "a vat does nothing unless polled"]
pub struct Vat {
    system: RpcSystem<Side>,
    disconnector: Disconnector<Side>,
    side: Side,
}

impl Vat {
    /// A vat that reads messages from `reader`, writes them to `writer`, and
    /// hands `bootstrap` to the peer that asks for it.
    ///
    /// The two ends of a connection take different sides; which takes which
    /// does not matter.
    pub fn new(
        reader: impl AsyncRead + Unpin + 'static,
        writer: impl AsyncWrite + Unpin + 'static,
        side: Side,
        bootstrap: Option<Client>,
        limits: Limits,
    ) -> Self {
        let mut options = ReaderOptions::new();
        options
            .traversal_limit_in_words(Some(limits.message_words))
            .nesting_limit(limits.nesting);
        let network = twoparty::VatNetwork::new(reader, writer, side, options);
        let system = RpcSystem::new(Box::new(network), bootstrap);
        let disconnector = system.get_disconnector();
        Self {
            system,
            disconnector,
            side,
        }
    }

    /// The peer's bootstrap capability, as a promise: calls on it queue until
    /// the peer has answered.
    pub fn bootstrap<C: FromClientHook>(&mut self) -> C {
        self.system.bootstrap(match self.side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        })
    }
}

impl Future for Vat {
    type Output = Result<(), capnp::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.system).poll(cx)
    }
}

impl Drop for Vat {
    /// `RpcSystem` has no `Drop` of its own: left alone, pending calls would
    /// hang for ever and the connection state, which refers to itself, would
    /// leak. One poll of the disconnector breaks both.
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.disconnector).poll(&mut cx);
    }
}

impl fmt::Debug for Vat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vat").field("side", &self.side).finish_non_exhaustive()
    }
}
