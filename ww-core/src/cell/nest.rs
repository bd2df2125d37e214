use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ww_membrane::Reaper;

use super::run::Run;

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
    members: FuturesUnordered<Member>,
    /// How many of the members are cells: when none is left, all is done.
    cells: usize,
}

/// What a driver polls when it is woken, each on its own.
enum Member {
    Cell(Run),
    /// Ends the sessions of an epoch that has passed, in the thread's next
    /// turn.
    Reaper(Reaper),
}

/// Where cells of one driver are added.
#[derive(Clone, Default)]
pub(crate) struct Nest(Rc<Newcomers>);

#[derive(Default)]
struct Newcomers {
    runs: RefCell<Vec<Run>>,
    waker: RefCell<Option<Waker>>,
}

impl Nest {
    pub(crate) fn add(&self, run: Run) {
        self.0.runs.borrow_mut().push(run);
        let waker = self.0.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Driver {
    pub(crate) fn new(nest: Nest) -> Self {
        Self {
            nest,
            members: FuturesUnordered::from_iter([Member::Reaper(Reaper::new())]),
            cells: 0,
        }
    }
}

impl Future for Member {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::Cell(run) => Pin::new(run).poll(cx),
            Self::Reaper(reaper) => Pin::new(reaper).poll(cx).map(|never| match never {}),
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        *this.nest.0.waker.borrow_mut() = Some(cx.waker().clone());
        loop {
            let newcomers = this.nest.0.runs.take();
            this.cells += newcomers.len();
            this.members.extend(newcomers.into_iter().map(Member::Cell));
            if this.cells == 0 {
                return Poll::Ready(());
            }
            match this.members.poll_next_unpin(cx) {
                Poll::Ready(_) => this.cells -= 1,
                Poll::Pending if this.nest.0.runs.borrow().is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

impl Drop for Driver {
    /// A cell that was added and never polled may hold this very nest.
    fn drop(&mut self) {
        self.members.clear();
        let newcomers = self.nest.0.runs.take();
        drop(newcomers);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("cells", &self.cells)
            .finish_non_exhaustive()
    }
}
