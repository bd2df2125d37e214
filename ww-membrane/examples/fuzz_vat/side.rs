//! One vat with what it serves and what runs on it, in memory.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use ww_membrane::Membrane;
use ww_rpc::{Limits, Vat};

use crate::app::App;
use crate::chance::Chance;
use crate::node::{self, Nodes};
use crate::settle::settle;

pub(crate) struct Side {
    vat: Option<Vat>,
    pub(crate) app: App,
    nodes: Nodes,
    membrane: Membrane,
    /// What the vat is still to read.
    unread: Vec<u8>,
    to_vat: Option<piper::Writer>,
    from_vat: Option<piper::Reader>,
}

impl Side {
    pub(crate) fn new(chance: &mut Chance, side: ww_rpc::Side) -> Self {
        let nodes = Nodes::default();
        let membrane = Membrane::ungated();
        let size = [1, 64, 4096, 1 << 16][chance.below(4)];
        let (reader, to_vat) = piper::pipe(size);
        let (from_vat, writer) = piper::pipe(size);
        let bootstrap = node::untyped(membrane.wrap(nodes.executor()));
        let vat = Vat::new(reader, writer, side, Some(bootstrap), limits(chance));
        Self {
            vat: Some(vat),
            app: App::new(&nodes, membrane.clone()),
            nodes,
            membrane,
            unread: Vec::new(),
            to_vat: Some(to_vat),
            from_vat: Some(from_vat),
        }
    }

    pub(crate) fn lives(&self) -> bool {
        self.vat.is_some()
    }

    pub(crate) fn act(&mut self, chance: &mut Chance) {
        if let Some(vat) = &mut self.vat {
            self.app.act(chance, vat);
        }
    }

    /// Has the vat read `bytes`, and answers what it writes until it rests.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.unread.extend_from_slice(bytes);
        self.rest()
    }

    /// Polls everything until nothing moves, and answers what the vat writes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        settle(|cx| {
            self.write(cx);
            if let Some(vat) = &mut self.vat
                && Pin::new(vat).poll(cx).is_ready()
            {
                self.vat = None;
            }
            self.app.poll(cx);
            self.read(cx, &mut heard);
        });
        heard
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        while let Some(to_vat) = &mut self.to_vat
            && !self.unread.is_empty()
        {
            match Pin::new(to_vat).poll_write(cx, &self.unread) {
                Poll::Ready(Ok(count @ 1..)) => drop(self.unread.drain(..count)),
                Poll::Ready(_) => self.to_vat = None,
                Poll::Pending => return,
            }
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, heard: &mut Vec<u8>) {
        let mut chunk = [0; 4096];
        while let Some(from_vat) = &mut self.from_vat {
            match Pin::new(from_vat).poll_read(cx, &mut chunk) {
                Poll::Ready(Ok(count @ 1..)) => heard.extend_from_slice(&chunk[..count]),
                Poll::Ready(_) => self.from_vat = None,
                Poll::Pending => return,
            }
        }
    }

    fn assert_nobody_waits(&self) {
        let waiting = self.app.waiting();
        assert!(waiting.is_empty(), "wait for ever: {waiting:?}");
    }

    /// Ends the connection in one of the ways that there are, and asserts that
    /// nothing waits and nothing is left.
    pub(crate) fn end(mut self, chance: &mut Chance, circles: bool) {
        match chance.below(4) {
            0 => self.to_vat = None,
            1 => (self.to_vat, self.from_vat) = (None, None),
            2 => self.vat = None,
            _ => {
                if let Some(vat) = &mut self.vat {
                    vat.drain();
                }
            }
        }
        self.rest();
        assert!(self.vat.is_none(), "the vat does not end");
        if !circles {
            self.assert_nobody_waits();
        }
        // What a peer has made wait for itself ends when the membrane falls, and
        // so does what a server keeps that leads back to that server.
        let end = capnp::Error::disconnected("the end".into());
        self.membrane.revoke(end);
        self.rest();
        self.assert_nobody_waits();
        drop(self.app);
        assert_eq!(self.nodes.alive(), 0, "something leaked");
    }
}

/// The defaults, or limits that are soon reached.
fn limits(chance: &mut Chance) -> Limits {
    let mut limits = Limits::default();
    if chance.one_in(4) {
        limits.message_words = 200;
        limits.nesting = 8;
        limits.pipeline_depth = 3;
        limits.resolutions = 2;
        limits.calls = 8;
        limits.call_words = 400;
        limits.cancelled_calls = 4;
        limits.exports = 4;
        limits.queue_words = 2000;
    }
    limits
}
