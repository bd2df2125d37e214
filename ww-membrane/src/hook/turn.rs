use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::Error;
use capnp::capability::Promise;

/// Calls on one capability that wait in line.
///
/// A call begins when it is first polled, and those that came before it with it.
/// It must not begin where it is made: capnp-rpc passes on calls that have waited
/// for a promise while it has that promise borrowed, and panics where the call
/// asks the promise anything, for instance because it is among the call's own
/// parameters.
#[derive(Default)]
pub(super) struct Turns {
    waiting: RefCell<VecDeque<Rc<dyn Waiting>>>,
}

/// A call that waits for its turn.
pub(super) struct Turn<Q: Queue, B: Begin> {
    queue: Rc<Q>,
    call: Rc<Call<B>>,
}

/// Whatever has calls that wait for their turn.
pub(super) trait Queue {
    fn turns(&self) -> &Turns;
}

/// How a call begins.
pub(super) trait Begin: FnOnce() -> Promise<(), Error> + 'static {}

impl<B: FnOnce() -> Promise<(), Error> + 'static> Begin for B {}

/// A call in the line.
trait Waiting {
    fn begin(&self);
    fn is_away(&self) -> bool;
}

struct Call<B>(RefCell<State<B>>);

enum State<B> {
    Waiting(B),
    Begun(Promise<(), Error>),
    /// Being polled, begun, or over.
    Away,
}

impl Turns {
    /// Whether no call waits.
    pub(super) fn are_over(&self) -> bool {
        self.waiting.borrow().is_empty()
    }
}

impl<Q: Queue, B: Begin> Turn<Q, B> {
    /// Waits for its turn to `begin`.
    pub(super) fn wait(queue: Rc<Q>, begin: B) -> Self {
        let call = Rc::new(Call(RefCell::new(State::Waiting(begin))));
        let mut waiting = queue.turns().waiting.borrow_mut();
        waiting.push_back(call.clone());
        drop(waiting);
        Self { queue, call }
    }

    /// Has all calls up to this one begin.
    fn begin(&self) {
        loop {
            let next = self.queue.turns().waiting.borrow_mut().pop_front();
            let Some(next) = next else { return };
            next.begin();
            if std::ptr::addr_eq(Rc::as_ptr(&next), Rc::as_ptr(&self.call)) {
                return;
            }
        }
    }
}

impl<Q: Queue, B: Begin> Future for Turn<Q, B> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(*self.call.0.borrow(), State::Waiting(_)) {
            self.begin();
        }
        let state = self.call.0.replace(State::Away);
        let State::Begun(mut promise) = state else {
            // Polled from within its own poll: the outer one will answer.
            return Poll::Pending;
        };
        let polled = Pin::new(&mut promise).poll(cx);
        if polled.is_pending() {
            self.call.0.replace(State::Begun(promise));
        }
        polled
    }
}

impl<Q: Queue, B: Begin> Drop for Turn<Q, B> {
    fn drop(&mut self) {
        let state = self.call.0.replace(State::Away);
        let waited = matches!(state, State::Waiting(_));
        drop(state);
        if waited {
            // Looking for its place would take the longer, the more there are.
            let mut waiting = self.queue.turns().waiting.borrow_mut();
            while waiting.front().is_some_and(|call| call.is_away()) {
                waiting.pop_front();
            }
            while waiting.back().is_some_and(|call| call.is_away()) {
                waiting.pop_back();
            }
        }
    }
}

impl<B: Begin> Waiting for Call<B> {
    fn begin(&self) {
        let state = match self.0.replace(State::Away) {
            State::Waiting(begin) => State::Begun(begin()),
            state => state,
        };
        self.0.replace(state);
    }

    fn is_away(&self) -> bool {
        matches!(*self.0.borrow(), State::Away)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_lite::future::block_on;

    use super::*;

    #[derive(Default)]
    struct Line(Turns);

    impl Queue for Line {
        fn turns(&self) -> &Turns {
            &self.0
        }
    }

    #[test]
    fn calls_that_were_dropped_leave_the_line_and_the_others_in_order() {
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
            for dropped in 0..=5 {
                let line = Rc::new(Line::default());
                let begun = Rc::new(RefCell::new(Vec::new()));
                let mut turns: Vec<_> = (0..5)
                    .map(|number| {
                        let begun = begun.clone();
                        Some(Turn::wait(line.clone(), move || {
                            begun.borrow_mut().push(number);
                            Promise::ok(())
                        }))
                    })
                    .collect();
                let mut left: Vec<usize> = (0..5).collect();
                for number in &order[..dropped] {
                    turns[*number] = None;
                    left.retain(|left| left != number);
                }
                if let Some(last) = turns.iter_mut().rev().find_map(Option::take) {
                    block_on(last).unwrap();
                }
                assert_eq!(*begun.borrow(), left, "{order:?}, {dropped}");
                assert!(line.0.waiting.borrow().is_empty(), "{order:?}, {dropped}");
            }
        }
    }

    #[test]
    fn a_hundred_thousand_waiting_calls_are_dropped_in_no_more_than_their_number_of_steps() {
        // By looking for each, it takes minutes.
        let line = Rc::new(Line::default());
        let held = Rc::new(Cell::new(()));
        let turns: Vec<_> = (0..100_000)
            .map(|_| {
                let held = held.clone();
                Turn::wait(line.clone(), move || {
                    drop(held);
                    Promise::ok(())
                })
            })
            .collect();
        drop(turns);
        assert_eq!(Rc::strong_count(&held), 1);
        assert!(line.0.waiting.borrow().is_empty());
    }
}
