use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::capability::{Client, Promise};
use capnp::private::capability::{ClientHook, PipelineOp};
use futures::channel::oneshot;

use super::fault::broken;
use super::kept::Kept;
use super::results::Written;
use super::{Connection, make_room};

/// A call of the peer's that runs.
///
/// It is held by its question, until the peer has finished with that, and by those
/// who wait for its answer. When all have let go of it, it is cancelled.
pub(super) struct Call {
    connection: Weak<Connection>,
    pub(super) question: u32,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// What runs, unless it is being polled.
    work: Option<Promise<(), Error>>,
    /// Wakes whoever polls.
    waker: Option<Waker>,
    returned: Option<Result<(), Error>>,
    /// What the server has written, if anything, once it lets go of it.
    results: Option<Option<Written>>,
    /// What the server gives to those who wait before it returns.
    early: Option<Rc<Kept>>,
    waiting: Vec<Waiting>,
    /// Whether the peer has been told.
    answered: bool,
    cancelled: bool,
}

/// Who was handed a capability of the answer to be.
struct Waiting {
    path: Vec<PipelineOp>,
    found: oneshot::Sender<Result<Client, Error>>,
}

impl Call {
    pub(super) fn new(connection: &Rc<Connection>, question: u32) -> Rc<Self> {
        Rc::new(Self {
            connection: Rc::downgrade(connection),
            question,
            state: RefCell::default(),
        })
    }

    pub(super) fn begin(&self, work: Promise<(), Error>) {
        self.state.borrow_mut().work = Some(work);
    }

    /// Lets it come as far as it can.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Nothing is borrowed while foreign code runs, here and below.
        let Some(mut work) = self.state.borrow_mut().work.take() else {
            return Poll::Ready(());
        };
        let polled = Pin::new(&mut work).poll(cx);
        let mut state = self.state.borrow_mut();
        match polled {
            Poll::Pending if !state.cancelled => {
                state.waker = Some(cx.waker().clone());
                state.work = Some(work);
                Poll::Pending
            }
            Poll::Pending => {
                drop(state);
                Poll::Ready(())
            }
            Poll::Ready(returned) => {
                state.returned = Some(returned);
                drop(state);
                // With it go results that were not asked for again.
                drop(work);
                self.answer();
                Poll::Ready(())
            }
        }
    }

    /// Drops what runs, and whatever it would have told.
    pub(super) fn cancel(&self) {
        let before = {
            let mut state = self.state.borrow_mut();
            let waker = state.waker.take();
            let over = State {
                waker,
                answered: true,
                cancelled: true,
                ..State::default()
            };
            std::mem::replace(&mut *state, over)
        };
        drop(before);
    }

    /// Takes what the server has written, when it lets go of it.
    pub(super) fn write(&self, results: Option<Written>) {
        {
            let mut state = self.state.borrow_mut();
            if state.answered {
                return;
            }
            state.results = Some(results);
        }
        self.answer();
    }

    /// Gives out the capabilities of `kept` from now on.
    ///
    /// # Errors
    ///
    /// It gives out others already.
    pub(super) fn give_early(&self, kept: Kept) -> Result<(), Error> {
        let kept = Rc::new(kept);
        let waiting = {
            let mut state = self.state.borrow_mut();
            if state.early.is_some() {
                return Err(Error::failed(
                    "set_pipeline: the pipeline of this call is set already".into(),
                ));
            }
            state.early = Some(kept.clone());
            std::mem::take(&mut state.waiting)
        };
        give(waiting, &Ok(kept));
        Ok(())
    }

    /// The capability of its answer to which `path` leads.
    pub(super) fn pipelined(self: &Rc<Self>, path: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        let early = self.state.borrow().early.clone();
        if let Some(kept) = early {
            return kept.pipelined(&path);
        }
        let (found, finding) = oneshot::channel();
        let call = self.clone();
        {
            let waiting = &mut self.state.borrow_mut().waiting;
            make_room(waiting, |waiting| !waiting.found.is_canceled());
            waiting.push(Waiting { path, found });
        }
        let promised: Client = capnp_rpc::new_future_client(async move {
            let found = finding.await;
            drop(call);
            found.map_err(|_| Error::disconnected("the call was cancelled".into()))?
        });
        promised.hook
    }

    /// Answers, once the server has returned and has let go of its results.
    fn answer(&self) {
        let (outcome, waiting) = {
            let mut state = self.state.borrow_mut();
            let outcome = match (&state.returned, &state.results) {
                _ if state.answered => return,
                (Some(Ok(())), Some(_)) => Ok(state.results.take().flatten()),
                (Some(Err(error)), _) => Err(error.clone()),
                _ => return,
            };
            state.answered = true;
            (outcome, std::mem::take(&mut state.waiting))
        };
        let Some(connection) = self.connection.upgrade() else {
            return;
        };
        let kept = outcome.and_then(|results| {
            let results = results.unwrap_or_else(|| connection.results(self.question));
            connection.answer(self.question, results, !waiting.is_empty())
        });
        if let Err(error) = &kept {
            connection.answer_error(self.question, error);
        }
        if let Some(kept) = kept.transpose() {
            give(waiting, &kept);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        if let Some(waker) = state.waker.take() {
            // So that nobody keeps a place for it.
            waker.wake();
        }
        if !state.answered
            && let Some(connection) = self.connection.upgrade()
        {
            connection.answer_cancelled(self.question);
        }
    }
}

/// Tells those who wait what they were waiting for.
fn give(waiting: Vec<Waiting>, kept: &Result<Rc<Kept>, Error>) {
    for Waiting { path, found } in waiting {
        let hook = match kept {
            Ok(kept) => kept.pipelined(&path),
            Err(error) => broken(error.clone()),
        };
        // Whoever waited may have let go of it.
        drop(found.send(Ok(Client::new(hook))));
    }
}
