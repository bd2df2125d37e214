use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

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
    cells: FuturesUnordered<Run>,
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
            cells: FuturesUnordered::new(),
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
            this.cells.extend(newcomers);
            match this.cells.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) if this.nest.0.runs.borrow().is_empty() => {
                    return Poll::Ready(());
                }
                Poll::Ready(None) => {}
                Poll::Pending if this.nest.0.runs.borrow().is_empty() => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

impl Drop for Driver {
    /// A cell that was added and never polled may hold this very nest.
    fn drop(&mut self) {
        self.cells.clear();
        let newcomers = self.nest.0.runs.take();
        drop(newcomers);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("cells", &self.cells.len())
            .finish_non_exhaustive()
    }
}
