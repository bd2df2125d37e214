use std::sync::Arc;

use futures::FutureExt;

use super::handle::Cell;
use super::local::Local;
use super::shared::Shared;
use super::start::Start;
use crate::error::Error;
use crate::runtime::Runtime;

/// A cell that is about to run where its builder said.
pub(crate) struct Ready {
    pub(super) cell: Cell,
    pub(super) start: Start,
    pub(super) runtime: Runtime,
    pub(super) neighbour: Option<Arc<Shared>>,
}

impl Ready {
    /// Starts it: on a worker of its runtime, or beside its neighbour.
    ///
    /// # Errors
    ///
    /// [`Error::Worker`], [`Error::Ended`].
    pub(crate) fn run(self) -> Result<Cell, Error> {
        let start = self.start;
        match self.neighbour {
            None => self
                .runtime
                .workers()
                .run(Box::new(move || start.drive().boxed_local()))
                .map_err(|error| Error::Worker(Arc::new(error)))?,
            Some(neighbour) => {
                let join = move |local: Local| {
                    start.beside(&local);
                    std::future::ready(()).boxed_local()
                };
                neighbour
                    .send(Box::new(join))
                    .map_err(|_| Error::Ended { why: None })?;
            }
        }
        Ok(self.cell)
    }
}
