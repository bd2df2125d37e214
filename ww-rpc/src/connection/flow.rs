use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use capnp::Error;
use capnp::capability::Promise;

/// Bytes of messages that a stream sends before the first of them is answered.
const WINDOW: usize = 64 << 10;

/// How much of a stream of calls (`-> stream`) on one capability is under way.
#[derive(Default)]
pub(super) struct Flow {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Bytes of calls that were not answered.
    sent: usize,
    /// Bytes of the largest of all: a window that is smaller than a call would let
    /// one wait for the other.
    largest: usize,
    /// Why a call failed: no other is of any use.
    failed: Option<Error>,
    waiting: Vec<Waker>,
}

impl State {
    fn has_room(&self) -> bool {
        self.sent < WINDOW + self.largest
    }
}

/// A call of a stream that was sent. If it goes unanswered, the stream has failed.
pub(super) struct Sent {
    flow: Rc<Flow>,
    bytes: usize,
    answer: Option<Result<(), Error>>,
}

impl Sent {
    pub(super) fn new(flow: &Rc<Flow>, bytes: usize) -> Self {
        Self {
            flow: flow.clone(),
            bytes,
            answer: None,
        }
    }

    pub(super) fn answered(mut self, answer: Result<(), Error>) {
        self.answer = Some(answer);
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        let ended = || Err(Error::disconnected("the connection has ended".into()));
        let answer = self.answer.take().unwrap_or_else(ended);
        self.flow.answered(self.bytes, answer);
    }
}

impl Flow {
    /// Takes note that a call of so many bytes was sent. The promise is kept when
    /// another may be.
    pub(super) fn send(self: &Rc<Self>, bytes: usize) -> Promise<(), Error> {
        {
            let state = &mut *self.state.borrow_mut();
            state.sent += bytes;
            state.largest = state.largest.max(bytes);
            match &state.failed {
                Some(error) => return Promise::err(error.clone()),
                None if state.has_room() => return Promise::ok(()),
                None => {}
            }
        }
        let flow = self.clone();
        Promise::from_future(poll_fn(move |cx| {
            let state = &mut *flow.state.borrow_mut();
            match &state.failed {
                Some(error) => return Poll::Ready(Err(error.clone())),
                None if state.has_room() => return Poll::Ready(Ok(())),
                None => {}
            }
            if !state
                .waiting
                .iter()
                .any(|waker| waker.will_wake(cx.waker()))
            {
                state.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        }))
    }

    /// Takes note of the answer to a call of so many bytes.
    fn answered(&self, bytes: usize, answer: Result<(), Error>) {
        let waiting = {
            let state = &mut *self.state.borrow_mut();
            state.sent -= bytes;
            if let Err(error) = answer {
                state.failed.get_or_insert(error);
            }
            match state.failed.is_some() || state.has_room() {
                true => std::mem::take(&mut state.waiting),
                false => Vec::new(),
            }
        };
        for waker in waiting {
            waker.wake();
        }
    }
}
