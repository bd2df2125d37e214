use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::capability::Promise;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::hook::boundary::Boundary;
use crate::signal::{Listener, Signal};

/// Bytes of streaming calls that may be under way to a connection on one
/// capability: what capnp-rpc itself has for its streams.
const WINDOW: usize = 1 << 16;

/// The streaming calls on one capability that wait for their answers.
///
/// They are ordinary calls to the connection. Those that it would stream by
/// itself could not be taken back when the boundary falls.
pub(crate) struct Stream {
    boundary: Rc<Boundary>,
    state: RefCell<State>,
    /// Fired when one of the calls may be over.
    signal: Arc<Signal>,
}

#[derive(Default)]
struct State {
    calls: FuturesUnordered<Promise<usize, Error>>,
    /// Bytes of the calls.
    under_way: usize,
    /// Bytes of the largest call, by which the window is wider, so that large
    /// ones do not go one at a time.
    largest: usize,
    failed: Option<Error>,
}

/// Waits for room in the window.
struct Room {
    stream: Rc<Stream>,
    listener: Listener,
}

/// Waits for the calls to be over.
pub(crate) struct Over {
    stream: Rc<Stream>,
    listener: Listener,
}

impl Stream {
    pub(super) fn new(boundary: &Rc<Boundary>) -> Self {
        Self {
            boundary: boundary.clone(),
            state: RefCell::default(),
            signal: Arc::default(),
        }
    }

    /// Takes in a call of so many bytes that was sent. Resolves when another
    /// may be, or with the error of one before.
    pub(super) fn send(
        self: &Rc<Self>,
        bytes: usize,
        call: Promise<(), Error>,
    ) -> Promise<(), Error> {
        {
            let state = &mut *self.state.borrow_mut();
            state.under_way += bytes;
            state.largest = state.largest.max(bytes);
            let call = Promise::from_future(async move { call.await.map(|()| bytes) });
            state.calls.push(call);
        }
        Promise::from_future(Room {
            stream: self.clone(),
            listener: Listener::new(self.signal.clone()),
        })
    }

    /// Lets go of the calls that are over. Whether none is left.
    pub(crate) fn settle(&self) -> bool {
        // The calls run no code but capnp-rpc's, what policies run that weigh
        // answers, and what tickets run when they are dropped.
        let mut calls = std::mem::take(&mut self.state.borrow_mut().calls);
        let waker = Waker::from(self.signal.clone());
        let mut cx = Context::from_waker(&waker);
        let mut over = 0;
        let mut failed = None;
        let mut none_left = calls.is_empty();
        while let Poll::Ready(next) = calls.poll_next_unpin(&mut cx) {
            match next {
                Some(Ok(bytes)) => over += bytes,
                Some(Err(error)) => failed = failed.or(Some(error)),
                None => {
                    none_left = true;
                    break;
                }
            }
        }
        let state = &mut *self.state.borrow_mut();
        calls.extend(std::mem::take(&mut state.calls));
        state.calls = calls;
        state.under_way -= over;
        state.failed = state.failed.take().or(failed);
        none_left
    }

    /// Waits for all of them to be over.
    pub(crate) fn over(self: Rc<Self>) -> Over {
        let listener = Listener::new(self.signal.clone());
        Over {
            stream: self,
            listener,
        }
    }
}

impl Future for Over {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.listener.listen(cx.waker());
        if self.stream.settle() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Future for Room {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.listener.listen(cx.waker());
        if let Err(error) = self.stream.boundary.check() {
            return Poll::Ready(Err(error));
        }
        self.stream.settle();
        let state = self.stream.state.borrow();
        if let Some(error) = &state.failed {
            return Poll::Ready(Err(error.clone()));
        }
        if state.under_way < WINDOW + state.largest {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}
