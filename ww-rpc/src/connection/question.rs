use std::cell::{OnceCell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use capnp::private::capability::{ClientHook, PipelineHook, PipelineOp, ResponseHook};
use capnp::{Error, any_pointer};

use super::client::Client;
use super::fault::broken;
use super::incoming::{Answer, Response};
use super::promised::Promised;
use super::{Connection, make_room};

/// A call of our own, for as long as somebody here wants its answer.
pub(super) struct Question {
    pub(super) connection: Rc<Connection>,
    pub(super) id: u32,
    answer: OnceCell<Result<Response, Error>>,
    waiting: RefCell<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Wakes whoever waits for the answer.
    waker: Option<Waker>,
    /// What was handed out of the answer to be.
    promised: Vec<(Weak<Promised>, Vec<PipelineOp>)>,
}

impl Question {
    pub(super) fn new(connection: &Rc<Connection>, id: u32) -> Rc<Self> {
        Rc::new(Self {
            connection: connection.clone(),
            id,
            answer: OnceCell::new(),
            waiting: RefCell::default(),
        })
    }

    /// Takes the answer. What was handed out of it hears of it first, so that calls
    /// stay in order.
    pub(super) fn resolve(&self, answer: Result<Response, Error>) {
        if self.answer.set(answer).is_err() {
            return;
        }
        let Waiting { waker, promised } = self.waiting.take();
        for (promised, path) in promised {
            if let Some(promised) = promised.upgrade() {
                promised.resolve(self.find(&path));
            }
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The capability of the answer to which `path` leads.
    ///
    /// # Errors
    ///
    /// There is none, there never was an answer, or there is none yet.
    fn find(&self, path: &[PipelineOp]) -> Result<Box<dyn ClientHook>, Error> {
        match self.answer.get() {
            Some(Ok(response)) => response.get()?.get_pipelined_cap(path),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::failed("the call has not been answered".into())),
        }
    }

    pub(super) fn pipelined(self: &Rc<Self>, path: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        if self.answer.get().is_some() {
            return self.find(&path).unwrap_or_else(broken);
        }
        let promised = Promised::answer(self.clone(), path.clone());
        let mut waiting = self.waiting.borrow_mut();
        make_room(&mut waiting.promised, |(promised, _)| {
            promised.strong_count() > 0
        });
        waiting.promised.push((Rc::downgrade(&promised), path));
        Box::new(Client::Promised(promised))
    }

    pub(super) fn poll(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.answer.get() {
            Some(Ok(_)) => Poll::Ready(Ok(())),
            Some(Err(error)) => Poll::Ready(Err(error.clone())),
            None => {
                self.waiting.borrow_mut().waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.connection.finish(self.id);
    }
}

/// Waits for the answer to a question.
pub(super) struct Answered(pub(super) Rc<Question>);

impl Future for Answered {
    type Output = Result<Answer, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = |()| Answer::new(Box::new(Self(self.0.clone())));
        self.0.poll(cx).map_ok(answered)
    }
}

impl ResponseHook for Answered {
    fn get(&self) -> Result<any_pointer::Reader<'_>, Error> {
        match self.0.answer.get() {
            Some(Ok(response)) => response.get(),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::failed("the call has not been answered".into())),
        }
    }
}

/// Hands out capabilities of an answer, be it there or not.
pub(super) struct Pipeline(pub(super) Rc<Question>);

impl PipelineHook for Pipeline {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(Self(self.0.clone()))
    }

    fn get_pipelined_cap(&self, path: &[PipelineOp]) -> Box<dyn ClientHook> {
        self.0.pipelined(path.into())
    }

    fn get_pipelined_cap_move(&self, path: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        self.0.pipelined(path)
    }
}
