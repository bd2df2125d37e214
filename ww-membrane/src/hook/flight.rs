use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::capability::Promise;
use capnp::private::capability::PipelineHook;

use crate::hook::boundary::Boundary;
use crate::hook::place::{Place, Release};
use crate::signal::Listener;

/// Work on the other side of a boundary that ends, with the boundary's error,
/// when the boundary falls.
///
/// `with` is what else those who share it have in common.
pub(super) struct Flight<F, W = ()> {
    pub(super) with: W,
    /// Absent once the flight has [left](Self::leave).
    place: RefCell<Option<Place>>,
    /// Absent while it is being polled and once it is over.
    work: RefCell<Option<F>>,
    /// The pipeline of the call, which keeps it going as the work does.
    pipeline: RefCell<Option<Box<dyn PipelineHook>>>,
    /// Of whoever polled last.
    waker: RefCell<Option<Waker>>,
    /// Where epochs pass on other threads.
    listener: Option<RefCell<Listener>>,
}

/// The future of a flight.
struct Landing<F>(Rc<Flight<F>>);

impl<T, F> Flight<F>
where
    T: 'static,
    F: Future<Output = Result<T, Error>> + Unpin + 'static,
{
    /// A promise that ends when the boundary falls.
    pub(super) fn promise(boundary: &Rc<Boundary>, work: F) -> Promise<T, Error> {
        Promise::from_future(Landing(Self::new(boundary, work, None, ())))
    }
}

impl<T, F, W> Flight<F, W>
where
    T: 'static,
    F: Future<Output = Result<T, Error>> + Unpin + 'static,
    W: 'static,
{
    pub(super) fn new(
        boundary: &Rc<Boundary>,
        work: F,
        pipeline: Option<Box<dyn PipelineHook>>,
        with: W,
    ) -> Rc<Self> {
        let listener = || RefCell::new(Listener::new(boundary.signal().clone()));
        let flight = Rc::new(Self {
            with,
            place: RefCell::new(None),
            work: RefCell::new(Some(work)),
            pipeline: RefCell::new(pipeline),
            waker: RefCell::new(None),
            listener: boundary.is_guarded().then(listener),
        });
        let held: Weak<Self> = Rc::downgrade(&flight);
        flight.place.replace(Some(boundary.hold(held)));
        if boundary.check().is_err() {
            // It fell while the work was being started.
            flight.release();
        }
        flight
    }

    /// Must not be polled again once ready.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, Error>> {
        let Some(boundary) = self.boundary() else {
            return Poll::Pending;
        };
        if let Err(error) = boundary.check() {
            return Poll::Ready(Err(error));
        }
        let work = self.work.borrow_mut().take();
        let Some(mut work) = work else {
            // Polled from within its own poll: the outer one will answer.
            return Poll::Pending;
        };
        // The boundary may fall in here. The work is out of its reach then,
        // and is dropped below.
        let polled = Pin::new(&mut work).poll(cx);
        if let Err(error) = boundary.check() {
            return Poll::Ready(Err(error));
        }
        if polled.is_ready() {
            if let Some(listener) = &self.listener {
                listener.borrow_mut().stop();
            }
            let waker = self.waker.take();
            drop(waker);
            return polled;
        }
        self.work.replace(Some(work));
        self.wait(cx.waker());
        // The epoch may have passed on another thread before it could know
        // this waker.
        match boundary.check() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<F, W> Flight<F, W> {
    /// The boundary, until the flight leaves.
    pub(super) fn boundary(&self) -> Option<Rc<Boundary>> {
        self.place
            .borrow()
            .as_ref()
            .map(|place| place.boundary().clone())
    }

    /// The pipeline, while the flight goes on.
    pub(super) fn pipeline(&self) -> Option<Box<dyn PipelineHook>> {
        self.pipeline
            .borrow()
            .as_ref()
            .map(|pipeline| pipeline.add_ref())
    }

    /// Gives up the pipeline once the answer stands in for it.
    pub(super) fn close(&self) {
        let pipeline = self.pipeline.borrow_mut().take();
        drop(pipeline);
    }

    /// Leaves what is over to those who still hold it, with nothing for the
    /// boundary to end. It must not be polled again.
    pub(super) fn leave(&self) {
        self.close();
        let place = self.place.take();
        drop(place);
    }

    /// The waker of whoever polled last.
    pub(super) fn waker(&self) -> Option<Waker> {
        self.waker.borrow().clone()
    }

    fn wait(&self, waker: &Waker) {
        let known = self.waker.borrow();
        if known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        drop(known);
        let old = self.waker.replace(Some(waker.clone()));
        drop(old);
        if let Some(listener) = &self.listener {
            listener.borrow_mut().listen(waker);
        }
    }
}

impl<F, W> Release for Flight<F, W> {
    fn release(&self) {
        let work = self.work.borrow_mut().take();
        drop(work);
        self.close();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker() {
            waker.wake();
        }
    }
}

impl<T, F> Future for Landing<F>
where
    T: 'static,
    F: Future<Output = Result<T, Error>> + Unpin + 'static,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}
