use std::mem;
use std::pin::Pin;
use std::task::Context;
use std::thread;

use capnp::capability::Client;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use wasip2::io::poll::Pollable;
use ww_rpc::{Limits, Side, Vat};

use crate::connection::Connection;
use crate::flag::Flag;
use crate::time;
use crate::transport::{Exchange, FULL, Transport};

/// Rounds in which a host that wakes itself for ever may still be told that its
/// guest has ended.
const CLOSING_ROUNDS: usize = 1000;

/// The other end of a guest's connection, in the same thread.
pub(super) struct InProcess {
    /// `None` once it has ended.
    vat: Option<Vat>,
    caller: Option<LocalBoxFuture<'static, ()>>,
    flag: Flag,
    /// What lies between the guest's bytes and the host's vat.
    connection: Connection,
}

impl InProcess {
    pub(super) fn new(
        bootstrap: Client,
        caller: Option<impl FnOnce(Client) -> LocalBoxFuture<'static, ()>>,
    ) -> Self {
        let connection = Connection::default();
        let mut vat = Vat::new(
            connection.clone(),
            connection.clone(),
            Side::Server,
            Some(bootstrap),
            Limits::default(),
        );
        Self {
            caller: caller.map(|caller| caller(vat.bootstrap())),
            vat: Some(vat),
            flag: Flag::new(),
            connection,
        }
    }

    /// Lets the host do what it can, and then takes and brings bytes.
    fn exchange(&mut self, outgoing: &[u8], closed: bool) -> Exchange {
        let mut incoming = Vec::new();
        self.connection.exchange(|answers| {
            incoming.extend_from_slice(answers);
            Exchange {
                accepted: answers.len(),
                incoming: outgoing.to_vec(),
                ready: Vec::new(),
                closed,
            }
        });
        Exchange {
            accepted: outgoing.len(),
            closed: self.vat.is_none() && incoming.is_empty(),
            incoming,
            ready: Vec::new(),
        }
    }

    /// Whether there was something to do.
    fn poll(&mut self) -> bool {
        if !self.flag.take() {
            return false;
        }
        let cx = &mut Context::from_waker(self.flag.waker());
        if let Some(caller) = &mut self.caller
            && caller.poll_unpin(cx).is_ready()
        {
            self.caller = None;
            if let Some(vat) = &mut self.vat {
                vat.drain();
            }
        }
        if let Some(vat) = &mut self.vat
            && Pin::new(vat).poll(cx).is_ready()
        {
            self.vat = None;
        }
        true
    }
}

impl Transport for InProcess {
    /// A host has a guest of its own.
    fn open() -> Self {
        Self::new(
            capnp_rpc::new_broken_cap(capnp::Error::failed("nothing was handed down".into())),
            None::<fn(Client) -> LocalBoxFuture<'static, ()>>,
        )
    }

    fn turn(&mut self, outgoing: &[u8], _: &[&Pollable], wait: bool) -> Exchange {
        let mut exchange = self.exchange(outgoing, false);
        let wait = wait && outgoing.len() < FULL;
        loop {
            let busy = self.poll();
            let more = self.exchange(&[], false);
            exchange.incoming.extend(more.incoming);
            exchange.closed = more.closed && exchange.incoming.is_empty();
            if !wait || !exchange.incoming.is_empty() || exchange.closed {
                return exchange;
            }
            if !busy {
                break;
            }
        }
        // Nothing is left to do for either side.
        if !time::pass() {
            // Another thread may wake one of the flags.
            thread::park();
        }
        exchange
    }

    fn finish(&mut self, outgoing: &[u8]) {
        self.exchange(outgoing, false);
        let mut rounds = 0;
        while self.poll() && rounds < CLOSING_ROUNDS {
            rounds += 1;
        }
    }
}

impl Drop for InProcess {
    /// The host sees the end of the connection, and what came before it.
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        self.exchange(&[], true);
        let mut rounds = 0;
        while self.poll() && rounds < CLOSING_ROUNDS {
            rounds += 1;
        }
        drop(mem::take(&mut self.caller));
    }
}
