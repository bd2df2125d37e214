use std::future::Future;
use std::sync::{Arc, OnceLock};

use event_listener::Event;
use futures::channel::oneshot;

use super::exit::Exit;
use crate::error::Error;

/// How a cell ends, for everyone who waits for that.
#[derive(Clone)]
pub(crate) struct Outcome(Arc<Told>);

/// Tells how. One that is dropped tells that the cell was.
pub(crate) struct Teller(Arc<Told>);

struct Told {
    outcome: OnceLock<Result<Exit, Error>>,
    event: Event,
}

impl Outcome {
    /// That of a cell, and who tells it.
    pub(crate) fn new() -> (Teller, Self) {
        let told = Arc::new(Told {
            outcome: OnceLock::new(),
            event: Event::new(),
        });
        (Teller(told.clone()), Self(told))
    }

    pub(super) fn wait(&self) -> impl Future<Output = Result<Exit, Error>> + Send + use<> {
        let told = self.0.clone();
        async move {
            loop {
                if let Some(outcome) = told.outcome.get() {
                    return outcome.clone();
                }
                let listener = told.event.listen();
                // It may have been told before that.
                if told.outcome.get().is_none() {
                    listener.await;
                }
            }
        }
    }

    /// What somebody's task came to on the cell's thread, or why nobody does it any
    /// more.
    pub(super) fn or_ended<T: Send>(
        &self,
        answer: oneshot::Receiver<Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<T> {
        let ended = self.wait();
        async move {
            match answer.await {
                Ok(answer) => answer,
                Err(_) => Err(Error::Ended {
                    why: Some(Arc::new(why(&ended.await))),
                }),
            }
        }
    }
}

impl Teller {
    pub(super) fn tell(self, outcome: Result<Exit, Error>) {
        // Only this one tells.
        let _ = self.0.outcome.set(outcome);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let _ = self.0.outcome.set(Err(Error::Dropped));
        self.0.event.notify(usize::MAX);
    }
}

/// What ended a cell.
pub(super) fn why(outcome: &Result<Exit, Error>) -> Error {
    match outcome {
        Ok(exit) => Error::Exited { code: exit.code },
        Err(error) => error.clone(),
    }
}
