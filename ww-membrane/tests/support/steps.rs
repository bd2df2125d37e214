//! Connections that deliver only when told, so that hops can be counted.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use capnp::capability::FromClientHook;
use futures::{AsyncRead, AsyncWrite};
use ww_rpc::{Limits, Side, Vat};

/// Vats on one thread, and the wires between them.
#[derive(Default)]
pub struct Net {
    pub limits: Limits,
    wires: Vec<Wire>,
    vats: Vec<Vat>,
}

/// One direction of a connection.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Line>>);

#[derive(Default)]
struct Line {
    sent: VecDeque<u8>,
    arrived: VecDeque<u8>,
    reader: Option<Waker>,
}

impl Net {
    /// Connects two vats, and answers what the one has of `exported` by the
    /// other.
    pub fn connect<C: FromClientHook>(&mut self, exported: C) -> C {
        let (up, down) = (Wire::default(), Wire::default());
        let limits = self.limits;
        let bootstrap = Some(exported.cast_to());
        let server = Vat::new(up.clone(), down.clone(), Side::Server, bootstrap, limits);
        let mut client = Vat::new(down.clone(), up.clone(), Side::Client, None, limits);
        let imported = client.bootstrap();
        self.wires.extend([up, down]);
        self.vats.extend([server, client]);
        imported
    }

    /// Runs `work`, and counts how often something had to be delivered until
    /// it was done.
    pub fn hops<T>(&mut self, work: impl Future<Output = T>) -> (T, usize) {
        let mut work = Box::pin(work);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        let mut hops = 0;
        loop {
            woken.0.store(false, Ordering::Relaxed);
            for vat in &mut self.vats {
                assert!(Pin::new(vat).poll(&mut cx).is_pending(), "connection ended");
            }
            if let Poll::Ready(output) = work.as_mut().poll(&mut cx) {
                return (output, hops);
            }
            if woken.0.load(Ordering::Relaxed) {
                continue;
            }
            let delivered: Vec<bool> = self.wires.iter().map(Wire::deliver).collect();
            assert!(delivered.contains(&true), "nothing is under way any more");
            hops += 1;
        }
    }

    /// Delivers whatever there is, until there is nothing.
    pub fn settle(&mut self) {
        while self.step() {}
    }

    /// Delivers what there is, once, and answers whether there was something.
    pub fn step(&mut self) -> bool {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        while woken.0.swap(false, Ordering::Relaxed) {
            for vat in &mut self.vats {
                assert!(Pin::new(vat).poll(&mut cx).is_pending(), "connection ended");
            }
        }
        let delivered: Vec<bool> = self.wires.iter().map(Wire::deliver).collect();
        delivered.contains(&true)
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Wire {
    fn deliver(&self) -> bool {
        let line = &mut *self.0.borrow_mut();
        if line.sent.is_empty() {
            return false;
        }
        line.arrived.append(&mut line.sent);
        if let Some(reader) = line.reader.take() {
            reader.wake();
        }
        true
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let line = &mut *self.0.borrow_mut();
        if line.arrived.is_empty() {
            line.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = line.arrived.len().min(into.len());
        for (byte, arrived) in into.iter_mut().zip(line.arrived.drain(..count)) {
            *byte = arrived;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().sent.extend(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
