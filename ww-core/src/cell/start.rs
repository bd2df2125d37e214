use std::fmt;
use std::sync::Arc;

use capnp::capability::Client;
use tracing::Span;

use super::berth::Berth;
use super::budget::Budget;
use super::connection::{Gone, Line};
use super::guest;
use super::local::Local;
use super::nest::{Driver, Nest};
use super::outcome::Teller;
use super::run::Run;
use super::shared::Shared;
use super::state::State;
use crate::error::Error;
use crate::pipe;
use crate::program::Place;
use crate::ticker::Ticker;

/// Makes a cell's bootstrap capability, on the cell's thread.
pub(crate) type Bootstrap = Box<dyn FnOnce(&Local) -> Result<Client, Error> + Send>;

/// Opens a cell's RPC connection, on the cell's thread.
pub(crate) type Connect = Box<dyn FnOnce(&Local) -> Result<(), Error>>;

/// A cell that is ready to run, and can still be sent to the thread that it
/// is to live on.
#[must_use = "a cell does nothing until it is driven"]
pub struct Start {
    pub(crate) place: Place,
    pub(crate) state: State,
    pub(crate) shared: Unstarted,
    pub(crate) budget: Budget,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) span: Span,
    /// The host's end of the RPC connection, where the cell has one.
    pub(crate) rpc: Option<(pipe::Reader, pipe::Writer)>,
    pub(crate) bootstrap: Option<Bootstrap>,
    pub(crate) outcome: Teller,
}

impl Start {
    /// The future that is the cell's life, for this thread's executor to poll.
    pub fn drive(mut self) -> Driver {
        let bootstrap = self.take_bootstrap();
        self.lead(bootstrap).1
    }

    /// Like [`drive`](Self::drive), with `bootstrap` in place of what the builder
    /// was given.
    pub(crate) fn alone(self, bootstrap: Option<Client>) -> (Local, Driver) {
        self.lead(|_| Ok(bootstrap))
    }

    /// Runs the cell as the child that it was built as of the one that `parent` belongs
    /// to: on the same thread, no longer than that one, and with `bootstrap` in place of
    /// what the builder was given.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] when the parent has ended meanwhile.
    pub(crate) fn below(self, parent: &Local, bootstrap: Option<Client>) -> Result<Local, Error> {
        if parent.shared().has_ended() {
            return Err(Error::Ended { why: None });
        }
        let nest = parent.nest().clone();
        let span = parent.span().clone();
        let (local, run) = self.run(nest.clone(), span, |_| Ok(bootstrap));
        parent.adopt(local.shared());
        nest.add(run)?;
        Ok(local)
    }

    /// Runs the cell on the thread of the one that `neighbour` belongs to.
    pub(crate) fn beside(mut self, neighbour: &Local) {
        let bootstrap = self.take_bootstrap();
        let nest = neighbour.nest().clone();
        let span = self.span.clone();
        let (_, run) = self.run(nest.clone(), span, bootstrap);
        // Where that one has ended, so has this: who waits is told.
        let _ = nest.add(run);
    }

    /// What the builder was given.
    fn take_bootstrap(
        &mut self,
    ) -> impl FnOnce(&Local) -> Result<Option<Client>, Error> + 'static + use<> {
        let bootstrap = self.bootstrap.take();
        |local| bootstrap.map(|bootstrap| bootstrap(local)).transpose()
    }

    /// Makes the cell the first of a nest of its own.
    fn lead(
        self,
        bootstrap: impl FnOnce(&Local) -> Result<Option<Client>, Error> + 'static,
    ) -> (Local, Driver) {
        let nest = Nest::default();
        let span = self.span.clone();
        let (local, run) = self.run(nest.clone(), span, bootstrap);
        (local, Driver::new(nest, run))
    }

    /// `first` is the span of the first cell of its family.
    fn run(
        self,
        nest: Nest,
        first: Span,
        bootstrap: impl FnOnce(&Local) -> Result<Option<Client>, Error> + 'static,
    ) -> (Local, Run) {
        let shared = self.shared.start();
        let local = Local::new(shared.clone(), nest, first);
        for (_, output) in self.state.outputs() {
            if let Some(pump) = output.pump() {
                local.spawn(pump);
            }
        }
        let rpc = self.rpc;
        let connect: Connect = Box::new(move |local| {
            let Some((reader, writer)) = rpc else {
                let silent = "the cell speaks no RPC, so it exports nothing";
                local.disconnect(Gone::Broken(capnp::Error::disconnected(silent.into())));
                return Ok(());
            };
            let inside = bootstrap(local)?;
            local.connect(Line {
                reader,
                writer,
                inside,
            });
            Ok(())
        });
        let guest = guest::run(self.place, self.state, shared, self.ticker.clone());
        let run = Run::new(
            local.clone(),
            self.ticker,
            self.budget,
            self.span,
            connect,
            Box::pin(guest),
            self.outcome,
        );
        (local, run)
    }
}

/// What a cell shares, before it has started. Dropping it is the cell's end:
/// errands that wait for the start are told.
pub(crate) struct Unstarted {
    shared: Arc<Shared>,
    started: bool,
}

impl Unstarted {
    /// Makes it the child that `berth` is for.
    pub(crate) fn new(shared: Arc<Shared>, berth: Option<Berth>) -> Self {
        if let Some(berth) = berth {
            shared.belongs_to(berth);
        }
        Self {
            shared,
            started: false,
        }
    }

    fn start(mut self) -> Arc<Shared> {
        self.started = true;
        self.shared.clone()
    }
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        if !self.started {
            self.shared.close();
        }
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").finish_non_exhaustive()
    }
}
