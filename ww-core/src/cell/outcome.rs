use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;

use super::exit::Exit;
use crate::error::Error;

/// How a cell ends, for everyone who waits for that.
#[derive(Clone)]
pub(crate) struct Outcome(Shared<oneshot::Receiver<Result<Exit, Error>>>);

impl Outcome {
    /// That of a cell that tells the sender, or drops it.
    pub(crate) fn new() -> (oneshot::Sender<Result<Exit, Error>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver.shared()))
    }

    pub(super) fn wait(&self) -> impl Future<Output = Result<Exit, Error>> + Send + use<> {
        let outcome = self.0.clone();
        async move { outcome.await.unwrap_or(Err(Error::Dropped)) }
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

/// What ended a cell.
pub(super) fn why(outcome: &Result<Exit, Error>) -> Error {
    match outcome {
        Ok(exit) => Error::Exited { code: exit.code },
        Err(error) => error.clone(),
    }
}
