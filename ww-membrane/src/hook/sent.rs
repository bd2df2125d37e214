use std::cell::{OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use capnp::Error;
use capnp::any_pointer;
use capnp::capability::{Promise, RemotePromise, Response};
use capnp::private::capability::{ClientHook, PipelineHook, PipelineOp, ResponseHook};
use futures::FutureExt;
use futures::future::Shared;

use crate::Call;
use crate::hook::answer::Answer;
use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::cross::{Direction, cross};
use crate::hook::early::Early;
use crate::hook::flight::Flight;
use crate::hook::place::{Place, Release};
use crate::hook::results::Draft;
use crate::signal::Listener;

/// A request that was sent: what its promise and its pipeline share.
pub(super) struct Sent<T: Arrival> {
    boundary: Rc<Boundary>,
    flight: Rc<Passing<T>>,
    pipeline: Pipelining,
    /// The answer, once others than the promise wait for it.
    shared: OnceCell<Arriving>,
    /// The promise's own share of that; away while it is polled.
    own: RefCell<Option<Arriving>>,
}

/// What call a flight is, and its answer once that has crossed.
pub(super) struct Landing {
    call: Call,
    direction: Direction,
    answer: OnceCell<Result<Answer, Error>>,
}

/// A call in flight whose answer is one for many.
type Passing<T> = Flight<Promise<T, Error>, Landing>;

/// How a call's answer comes in, before it crosses.
pub(super) trait Arrival: 'static {
    fn cross(
        self,
        boundary: &Rc<Boundary>,
        call: Call,
        direction: Direction,
    ) -> Result<Answer, Error>;
}

/// Where calls go meanwhile that are made on the capabilities of the answer.
pub(super) enum Pipelining {
    /// They go along with the call, by its own pipeline. Where that is of a
    /// connection it may resolve by itself. Then it panics where it is asked
    /// for a null capability, so the answer is looked at first.
    Along { eager: bool },
    /// They wait for the answer, or for what is there of it early.
    Waiting(Rc<Early>),
}

type Arriving = Shared<Promise<(), Error>>;

/// The response to a flight that has landed.
struct Arrived<T: Arrival>(Rc<Passing<T>>);

/// The capability that an answer will have.
struct Promised<T: Arrival> {
    awaited: Rc<Awaited<T>>,
    listener: Listener,
    ops: Vec<PipelineOp>,
}

/// What it waits for, as long as the boundary stands: the answer may be the one
/// that holds it, and then nobody else lets go of either.
struct Awaited<T: Arrival> {
    boundary: Rc<Boundary>,
    place: OnceCell<Place>,
    /// Away while it is being polled.
    answer: RefCell<Option<Awaiting<T>>>,
    /// Of whoever polled last.
    waker: RefCell<Option<Waker>>,
}

struct Awaiting<T: Arrival> {
    flight: Rc<Passing<T>>,
    arriving: Arriving,
    early: Rc<Early>,
}

impl<T: Arrival> Sent<T> {
    pub(super) fn new(
        boundary: &Rc<Boundary>,
        flight: Rc<Passing<T>>,
        pipeline: Pipelining,
    ) -> Self {
        Self {
            boundary: boundary.clone(),
            flight,
            pipeline,
            shared: OnceCell::new(),
            own: RefCell::new(None),
        }
    }

    /// What the caller gets.
    pub(super) fn promise(self) -> RemotePromise<any_pointer::Owned> {
        let sent = Rc::new(self);
        let waiting = sent.clone();
        let promise = Promise::from_future(async move {
            poll_fn(|cx| waiting.poll(cx)).await?;
            Ok(Response::new(Box::new(Arrived(waiting.flight.clone()))))
        });
        RemotePromise {
            promise,
            pipeline: any_pointer::Pipeline::new(Box::new(Pipeline(sent))),
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.boundary.check()?;
        let mut polled = Poll::Pending;
        if self.shared.get().is_none() {
            polled = self.flight.land(cx);
        }
        // While it was polled, others may have begun to look at it: they are
        // told with the promise from then on.
        let own = self.own.take().or_else(|| self.shared.get().cloned());
        if let Some(mut own) = own {
            let told = Pin::new(&mut own).poll(cx);
            self.own.replace(Some(own));
            if polled.is_pending() {
                polled = told;
            }
        }
        polled
    }

    /// The capability that the answer has, or will have, at `ops`.
    fn capability(&self, ops: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        let flight = &self.flight;
        let boundary = &self.boundary;
        if let Err(error) = boundary.check() {
            return broken::client(error);
        }
        if let Pipelining::Along { eager: true } = self.pipeline
            && flight.answer().is_none()
        {
            // Ready or not, whoever waits for the answer must still be woken.
            let waker = flight.waker();
            let waker = waker.as_ref().unwrap_or(Waker::noop());
            let ready = self.poll(&mut Context::from_waker(waker)).is_ready();
            if ready {
                waker.wake_by_ref();
            }
        }
        if let Some(answer) = flight.answer() {
            return answer.map_or_else(broken::client, |answer| answer.capability(&ops));
        }
        match (&self.pipeline, flight.pipeline()) {
            (Pipelining::Waiting(early), _) => match early.get() {
                Some(answer) => answer.capability(&ops),
                None => self.promised(early, ops),
            },
            (Pipelining::Along { .. }, Some(pipeline)) => cross(
                boundary,
                flight.with.direction,
                pipeline.get_pipelined_cap_move(ops),
            ),
            (Pipelining::Along { .. }, None) => {
                broken::client(Error::failed("call has no pipeline".into()))
            }
        }
    }

    fn promised(&self, early: &Rc<Early>, ops: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        let awaiting = Awaiting {
            flight: self.flight.clone(),
            arriving: self.share(),
            early: early.clone(),
        };
        capnp_rpc::new_future_client(Promised {
            awaited: Awaited::new(&self.boundary, awaiting),
            listener: early.listener(),
            ops,
        })
    }

    /// The answer, for one more to wait for.
    fn share(&self) -> Arriving {
        if let Some(shared) = self.shared.get() {
            return shared.clone();
        }
        let shared = self.shared.get_or_init(|| {
            let flight = self.flight.clone();
            Promise::from_future(poll_fn(move |cx| flight.land(cx))).shared()
        });
        // Whoever waits for the answer is known to the flight alone. Its waker
        // may ask for a share itself.
        if let Some(waker) = self.flight.waker() {
            waker.wake();
        }
        shared.clone()
    }
}

impl Landing {
    pub(super) fn new(call: Call, direction: Direction) -> Self {
        Self {
            call,
            direction,
            answer: OnceCell::new(),
        }
    }
}

impl<T: Arrival> Passing<T> {
    /// Where it is polled from within its own poll, the outer one goes on to
    /// tell whoever is [told](Sent::poll).
    fn land(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let landing = &self.with;
        if landing.answer.get().is_none()
            && let Some(boundary) = self.boundary()
        {
            let landed = ready!(self.poll(cx));
            let cross = |came: T| came.cross(&boundary, landing.call, landing.direction);
            // Foreign code ran meanwhile, within which it may have landed.
            let _ = landing.answer.set(landed.and_then(cross));
            // Whoever keeps the answer does not keep the boundary.
            self.leave();
        }
        Poll::Ready(self.landed().map(|_| ()))
    }

    /// The answer, once there is one.
    fn answer(&self) -> Option<Result<&Answer, Error>> {
        let answer = self.with.answer.get()?;
        Some(answer.as_ref().map_err(Clone::clone))
    }

    /// The answer of what is known to have landed.
    fn landed(&self) -> Result<&Answer, Error> {
        let early = || Err(Error::failed("answer has not arrived".into()));
        self.answer().unwrap_or_else(early)
    }
}

impl Arrival for Response<any_pointer::Owned> {
    fn cross(
        self,
        boundary: &Rc<Boundary>,
        call: Call,
        direction: Direction,
    ) -> Result<Answer, Error> {
        Answer::cross(boundary, call, direction, self)
    }
}

impl Arrival for Draft {
    fn cross(self, _: &Rc<Boundary>, _: Call, _: Direction) -> Result<Answer, Error> {
        self.into_answer()
    }
}

impl<T: Arrival> ResponseHook for Arrived<T> {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.landed()?.get()
    }
}

impl<T: Arrival> Awaited<T> {
    fn new(boundary: &Rc<Boundary>, awaiting: Awaiting<T>) -> Rc<Self> {
        let awaited = Rc::new(Self {
            boundary: boundary.clone(),
            place: OnceCell::new(),
            answer: RefCell::new(Some(awaiting)),
            waker: RefCell::new(None),
        });
        let held: Weak<Self> = Rc::downgrade(&awaited);
        let _ = awaited.place.set(boundary.hold(held));
        awaited
    }
}

impl<T: Arrival> Release for Awaited<T> {
    fn release(&self) {
        let awaiting = self.answer.take();
        drop(awaiting);
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<T: Arrival> Future for Promised<T> {
    type Output = Result<Box<dyn ClientHook>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.awaited.boundary.check()?;
        let Some(mut awaiting) = this.awaited.answer.take() else {
            // Polled from within its own poll: the outer one will answer.
            return Poll::Pending;
        };
        let arrived = Pin::new(&mut awaiting.arriving).poll(cx);
        this.awaited.boundary.check()?;
        let early = awaiting.early.get();
        let polled = match (early, arrived) {
            (Some(answer), _) => Poll::Ready(answer.capability(&this.ops)),
            (None, Poll::Ready(arrived)) => {
                arrived?;
                Poll::Ready(match awaiting.flight.landed() {
                    Ok(answer) => answer.capability(&this.ops),
                    Err(error) => broken::client(error),
                })
            }
            (None, Poll::Pending) => Poll::Pending,
        };
        if polled.is_pending() {
            this.awaited.answer.replace(Some(awaiting));
            let old = this.awaited.waker.replace(Some(cx.waker().clone()));
            drop(old);
            this.listener.listen(cx.waker());
        }
        polled.map(Ok)
    }
}

/// The pipeline of a call that was sent through a wrapper.
struct Pipeline<T: Arrival>(Rc<Sent<T>>);

impl<T: Arrival> PipelineHook for Pipeline<T> {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(Self(self.0.clone()))
    }

    fn get_pipelined_cap(&self, ops: &[PipelineOp]) -> Box<dyn ClientHook> {
        self.0.capability(ops.to_vec())
    }

    fn get_pipelined_cap_move(&self, ops: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        self.0.capability(ops)
    }
}
