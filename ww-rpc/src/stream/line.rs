use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The order in which the calls on one end of a stream are served: first come,
/// first served, until the end is closed.
#[derive(Default)]
pub(crate) struct Line {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    last: u64,
    /// In order of their tickets; the first is being served.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    ticket: u64,
    waker: Option<Waker>,
}

/// The stream was closed before, or while, a call waited for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl Line {
    /// Joins at the end.
    pub(crate) fn join(self: &Rc<Self>) -> Turn {
        let mut state = self.state.borrow_mut();
        state.last += 1;
        let ticket = state.last;
        state.waiting.push_back(Waiting {
            ticket,
            waker: None,
        });
        Turn {
            line: self.clone(),
            ticket,
        }
    }

    /// Ends every turn, now and from now on.
    pub(crate) fn close(&self) {
        let wakers: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.closed = true;
            let waiting = state.waiting.iter_mut();
            waiting.filter_map(|waiting| waiting.waker.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }
}

/// A place in a [`Line`], given up when dropped.
pub(crate) struct Turn {
    line: Rc<Line>,
    ticket: u64,
}

impl Turn {
    /// Whether this is the first in line. The waker is kept in either case, to
    /// be woken when the line is closed.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), Closed>> {
        let mut state = self.line.state.borrow_mut();
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        let place = state.place(self.ticket);
        if let Some(waiting) = place.and_then(|place| state.waiting.get_mut(place)) {
            match &mut waiting.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        match place {
            Some(0) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut state = self.line.state.borrow_mut();
            let Some(place) = state.place(self.ticket) else {
                return;
            };
            state.waiting.remove(place);
            match place {
                0 => state.waiting.front_mut().and_then(|next| next.waker.take()),
                _ => None,
            }
        };
        if let Some(next) = next {
            next.wake();
        }
    }
}

impl State {
    fn place(&self, ticket: u64) -> Option<usize> {
        let found = self
            .waiting
            .binary_search_by_key(&ticket, |waiting| waiting.ticket);
        found.ok()
    }
}
