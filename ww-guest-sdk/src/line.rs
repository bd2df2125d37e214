use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use capnp::capability::FromClientHook;
use wasip2::io::poll::Pollable;
use ww_rpc::{Limits, Side, Vat};

use crate::connection::Connection;
use crate::flag::Flag;
use crate::transport::Transport;
use crate::{closing, export};

/// Turns that the end of a connection may take without a byte to send.
const CLOSING_ROUNDS: usize = 1000;

/// The RPC connection of a guest, as the executor drives it.
pub(crate) trait Channel: Sized {
    /// Whether polling would do anything.
    fn is_woken(&self) -> bool;

    /// Lets the vat work. Answers false when the connection is at its end.
    fn poll(&mut self) -> bool;

    /// Moves bytes both ways; answers which of `pollables` are ready. With
    /// `wait` it blocks until something has happened.
    fn turn(&mut self, pollables: &[&Pollable], wait: bool) -> Vec<u32>;

    /// Sends everything that is queued, and closes the connection.
    fn close(self);
}

/// The connection of a guest that has none. Of a type without values nothing
/// gets into the guest, the RPC system least of all.
#[derive(Debug)]
pub(crate) enum Absent {}

/// The RPC connection of a guest: a vat, the bytes between it and the
/// transport, and the transport.
#[derive(Debug)]
pub(crate) struct Line<T> {
    vat: Vat,
    flag: Flag,
    connection: Connection,
    transport: T,
}

impl<T: Transport> Line<T> {
    /// Takes the cell's connection; the client is the host's bootstrap
    /// capability.
    pub(crate) fn open<C: FromClientHook>() -> (Self, C) {
        Self::over(T::open())
    }

    /// Speaks over `transport`.
    pub(crate) fn over<C: FromClientHook>(transport: T) -> (Self, C) {
        let connection = Connection::by(transport.way());
        let mut vat = Vat::new(
            connection.clone(),
            connection.clone(),
            Side::Client,
            Some(export::promise()),
            Limits::default(),
        );
        let bootstrap = vat.bootstrap();
        let line = Self {
            vat,
            flag: Flag::new(),
            connection,
            transport,
        };
        closing::opened();
        (line, bootstrap)
    }
}

impl<T> Line<T> {
    /// Whether nothing was said but the question for the bootstrap capability,
    /// whose answer nobody needs who makes no call.
    fn is_silent(&self) -> bool {
        let traffic = self.vat.traffic();
        traffic.calls_out() == 0 && traffic.bytes_in() == 0 && !self.connection.is_readable()
    }
}

impl<T: Transport> Channel for Line<T> {
    fn is_woken(&self) -> bool {
        self.flag.is_raised()
    }

    fn poll(&mut self) -> bool {
        if !self.flag.take() {
            return true;
        }
        let mut cx = Context::from_waker(self.flag.waker());
        match Pin::new(&mut self.vat).poll(&mut cx) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                closing::ended(outcome);
                self.transport.finish(&self.connection.take_outgoing());
                false
            }
        }
    }

    fn turn(&mut self, pollables: &[&Pollable], wait: bool) -> Vec<u32> {
        let mut ready = Vec::new();
        self.connection.exchange(|outgoing| {
            let mut exchange = self.transport.turn(outgoing, pollables, wait);
            ready = std::mem::take(&mut exchange.ready);
            exchange
        });
        ready
    }

    fn close(mut self) {
        export::abandon();
        closing::ended(Ok(()));
        if self.is_silent() {
            return;
        }
        loop {
            // A call that wakes itself for ever does not keep a guest that is
            // done.
            let mut rounds = 0;
            while self.is_woken() && rounds < CLOSING_ROUNDS {
                rounds += 1;
                if !self.poll() {
                    return;
                }
            }
            let outgoing = self.connection.take_outgoing();
            if outgoing.is_empty() || self.connection.is_closed() {
                return;
            }
            // Writers that had to wait for room go on in the next round.
            self.transport.finish(&outgoing);
            self.connection.exchange(|_| Default::default());
        }
    }
}

impl Channel for Absent {
    fn is_woken(&self) -> bool {
        match *self {}
    }

    fn poll(&mut self) -> bool {
        match *self {}
    }

    fn turn(&mut self, _: &[&Pollable], _: bool) -> Vec<u32> {
        match *self {}
    }

    fn close(self) {
        match self {}
    }
}
