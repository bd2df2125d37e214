use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{Disconnector, RpcSystem, VatNetwork};

use crate::watch::poll_watched;

/// Turns in which an ended connection tells everyone of it. Two are enough;
/// the bound is there for a server that wakes itself for ever.
const WINDING_UP_TURNS: usize = 16;

/// capnp-rpc, and what ends it.
pub(crate) struct Running {
    system: RpcSystem<Side>,
    disconnector: Disconnector<Side>,
}

impl Running {
    pub(crate) fn new(network: Box<dyn VatNetwork<Side>>, bootstrap: Option<Client>) -> Self {
        let system = RpcSystem::new(network, bootstrap);
        let disconnector = system.get_disconnector();
        Self {
            system,
            disconnector,
        }
    }

    /// Asks the peer, who is on the other side than `side`, for its bootstrap
    /// capability.
    pub(crate) fn bootstrap<C: FromClientHook>(&mut self, side: Side) -> C {
        self.system.bootstrap(match side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        })
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.system).poll(cx)
    }

    /// Lets the system tell what the end of the connection means to calls in
    /// flight. Who holds a call's pipeline is told by one of the system's own
    /// tasks, and would wait for ever if that were dropped unpolled.
    pub(crate) fn wind_up(&mut self) {
        let cx = Context::from_waker(Waker::noop());
        for _ in 0..WINDING_UP_TURNS {
            let (_, woken) = poll_watched(&cx, |cx| self.poll(cx));
            if !woken {
                break;
            }
        }
    }

    /// Ends the connection at once.
    ///
    /// `RpcSystem` has no `Drop` of its own: left alone, pending calls would
    /// hang for ever and the connection state, which refers to itself, would
    /// leak. One poll of the disconnector breaks both. Before the first poll
    /// there may be no state yet for it to find, and then nothing has crossed
    /// that could hang or leak.
    pub(crate) fn disconnect(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.disconnector).poll(&mut cx);
        self.wind_up();
    }
}
