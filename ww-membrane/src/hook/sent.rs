use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::any_pointer;
use capnp::capability::Response;
use capnp::private::capability::{ClientHook, PipelineOp};

use crate::hook::answer::Answer;
use crate::hook::broken;
use crate::hook::cross::{Direction, cross};
use crate::hook::flight::Flight;

/// A request that was sent: what its promise and its pipeline share.
pub(super) struct Sent {
    flight: Rc<Flight<Response<any_pointer::Owned>>>,
    direction: Direction,
    /// Whether the inner pipeline may resolve by itself. Then it panics where
    /// it is asked for a null capability, so the answer is looked at first.
    eager: bool,
    answer: RefCell<Option<Result<Answer, Error>>>,
}

impl Sent {
    pub(super) fn new(
        flight: Rc<Flight<Response<any_pointer::Owned>>>,
        direction: Direction,
        eager: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            flight,
            direction,
            eager,
            answer: RefCell::new(None),
        })
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        if let Err(error) = self.flight.boundary().check() {
            return Poll::Ready(Err(error));
        }
        if let Some(answer) = self.answer.borrow().clone() {
            return Poll::Ready(answer);
        }
        let Poll::Ready(landed) = self.flight.poll(cx) else {
            return Poll::Pending;
        };
        let answer = landed
            .and_then(|response| Answer::cross(self.flight.boundary(), self.direction, response));
        *self.answer.borrow_mut() = Some(answer.clone());
        self.flight.close();
        Poll::Ready(answer)
    }

    /// The capability that the answer has, or will have, at `ops`.
    pub(super) fn capability(&self, ops: &[PipelineOp]) -> Box<dyn ClientHook> {
        let boundary = self.flight.boundary();
        if let Err(error) = boundary.check() {
            return broken::client(error);
        }
        if self.eager && self.answer.borrow().is_none() {
            // Ready or not, whoever waits for the answer must still be woken.
            let waker = self.flight.waker();
            let waker = waker.as_ref().unwrap_or(Waker::noop());
            let ready = self.poll(&mut Context::from_waker(waker)).is_ready();
            if ready {
                waker.wake_by_ref();
            }
        }
        let answer = self.answer.borrow().clone();
        match answer {
            Some(answer) => answer.map_or_else(broken::client, |answer| answer.capability(ops)),
            None => match self.flight.pipeline() {
                Some(pipeline) => cross(boundary, self.direction, pipeline.get_pipelined_cap(ops)),
                None => broken::client(Error::failed("call has no pipeline".into())),
            },
        }
    }
}
