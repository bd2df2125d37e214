use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use capnp::capability::FromClientHook;
use wasip2::io::poll::Pollable;
use ww_rpc::{Limits, Side, Vat};

use crate::connection::Connection;
use crate::export;
use crate::flag::Flag;
use crate::transport::Transport;

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
        let connection = Connection::default();
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
            transport: T::open(),
        };
        (line, bootstrap)
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.flag.is_raised()
    }

    /// Lets the vat work. Answers false when the connection is at its end.
    pub(crate) fn poll(&mut self) -> bool {
        if !self.flag.take() {
            return true;
        }
        let mut cx = Context::from_waker(self.flag.waker());
        // What ended the connection shows in the calls that it breaks.
        Pin::new(&mut self.vat).poll(&mut cx).is_pending()
    }

    /// Moves bytes both ways; answers which of `pollables` are ready. With
    /// `wait` it blocks until something has happened.
    pub(crate) fn turn(&mut self, pollables: &[&Pollable], wait: bool) -> Vec<u32> {
        let mut ready = Vec::new();
        self.connection.exchange(|outgoing| {
            let mut exchange = self.transport.turn(outgoing, pollables, wait);
            ready = std::mem::take(&mut exchange.ready);
            exchange
        });
        ready
    }

    /// Sends everything that is queued, and closes the connection.
    pub(crate) fn close(mut self) {
        export::abandon();
        loop {
            while self.is_woken() {
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
