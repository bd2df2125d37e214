use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ww_membrane::Reaper;

use super::run::Run;
use crate::error::{Error, panic_text};
use crate::ticker::Ticker;

/// Drives a cell, and the cells that were started beside it.
///
/// A future for the executor of the caller's choice. It stays on the thread
/// that made it, as capabilities do, and resolves when all its cells have
/// ended.
///
/// # Cancel safety
///
/// Dropping a driver ends its cells: their memory, pipes and capabilities are
/// freed before the drop returns, and whoever waits for them gets
/// [`Error::Dropped`](crate::Error::Dropped).
#[must_use = "a cell does nothing unless its driver is polled"]
pub struct Driver {
    nest: Nest,
    ticker: Arc<Ticker>,
    members: FuturesUnordered<Member>,
    /// How many of the members are cells: when none is left, all is done.
    cells: usize,
}

/// What a driver polls when it is woken, each on its own.
#[allow(
    clippy::large_enum_variant,
    reason = "each member has an allocation of its own"
)]
enum Member {
    /// `None` once it was handed back.
    Cell(Option<Run>),
    /// Ends the sessions of an epoch that has passed, in the thread's next
    /// turn.
    Reaper(Reaper),
}

/// What the cells of one driver have in common: where more are added, and what
/// those that have ended still had to sit out.
#[derive(Clone, Default)]
pub(crate) struct Nest(Rc<Common>);

struct Common {
    /// Newcomers. `None` once the driver has gone: nobody would poll them.
    runs: RefCell<Option<Vec<Run>>>,
    waker: RefCell<Option<Waker>>,
    /// How often the driver was polled.
    polls: Cell<u64>,
    /// All rest until it was polled so often.
    rest: Cell<u64>,
}

impl Nest {
    /// Adds a cell, which ends at once where there is no driver any more.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] then.
    pub(crate) fn add(&self, run: Run) -> Result<(), Error> {
        match &mut *self.0.runs.borrow_mut() {
            Some(runs) => runs.push(run),
            // Dropped with the borrow over: its drop may come back here.
            None => return Err(Error::Ended { why: None }),
        }
        let waker = self.0.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn take(&self) -> Vec<Run> {
        let mut runs = self.0.runs.borrow_mut();
        runs.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        let runs = self.0.runs.borrow();
        runs.as_ref().is_none_or(Vec::is_empty)
    }

    /// Whether what cells owed that have ended is still sat out.
    pub(super) fn rests(&self) -> bool {
        self.0.polls.get() < self.0.rest.get()
    }

    /// Has those that are left sit out so many polls: a guest that others take the
    /// place of does not get more of its thread than one that goes on.
    pub(super) fn rest(&self, polls: u64) {
        let until = self.0.rest.get().max(self.0.polls.get());
        self.0.rest.set(until + polls);
    }

    fn close(&self) {
        let runs = self.0.runs.take();
        drop(runs);
    }
}

impl Default for Common {
    fn default() -> Self {
        Self {
            runs: RefCell::new(Some(Vec::new())),
            waker: RefCell::default(),
            polls: Cell::new(0),
            rest: Cell::new(0),
        }
    }
}

impl Driver {
    /// Drives `first`, and whatever is added to `nest`.
    pub(crate) fn new(nest: Nest, first: Run) -> Self {
        let ticker = first.ticker.clone();
        let members = FuturesUnordered::new();
        members.push(Member::Reaper(Reaper::new()));
        members.push(Member::Cell(Some(first)));
        Self {
            nest,
            ticker,
            members,
            cells: 1,
        }
    }
}

impl Future for Member {
    /// The cell, where a tick fell into its turn and it goes on, so that its driver looks
    /// at the clock; none where it has ended.
    type Output = Option<Run>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Run>> {
        match self.get_mut() {
            Self::Cell(slot) => {
                let Some(run) = slot else {
                    return Poll::Ready(None);
                };
                match run.poll_contained(cx) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending if run.met_tick => Poll::Ready(slot.take()),
                    Poll::Pending => Poll::Pending,
                }
            }
            Self::Reaper(reaper) => {
                reap(reaper, cx);
                Poll::Pending
            }
        }
    }
}

/// What panics as it is let go of is no cell's doing. All sessions have ended by then.
fn reap(reaper: &mut Reaper, cx: &mut Context<'_>) {
    let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(reaper).poll(cx)));
    match polled {
        Ok(Poll::Pending) => {}
        Ok(Poll::Ready(never)) => match never {},
        Err(panic) => {
            let message = panic_text(&*panic);
            tracing::debug!(message, "the end of a session panicked");
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        *this.nest.0.waker.borrow_mut() = Some(cx.waker().clone());
        this.nest.0.polls.update(|polls| polls + 1);
        let began = this.ticker.ticks();
        loop {
            let newcomers = this.nest.take();
            this.cells += newcomers.len();
            this.members
                .extend(newcomers.into_iter().map(|run| Member::Cell(Some(run))));
            if this.cells == 0 {
                this.nest.close();
                return Poll::Ready(());
            }
            // However many cells there are, the thread's others have their turn.
            if this.ticker.ticks() > began {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.members.poll_next_unpin(cx) {
                // Those that wait have their turn before it.
                Poll::Ready(Some(Some(run))) => this.members.push(Member::Cell(Some(run))),
                Poll::Ready(_) => this.cells -= 1,
                Poll::Pending if this.nest.is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

impl Drop for Driver {
    /// A cell that was added and never polled may hold this very nest.
    fn drop(&mut self) {
        self.nest.close();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("cells", &self.cells)
            .finish_non_exhaustive()
    }
}
