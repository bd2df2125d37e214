use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use futures::future::{AbortHandle, FusedFuture, FutureExt, abortable};
use futures::stream::{FuturesUnordered, StreamExt};

use crate::flag::Flag;

type Job = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Jobs that the executor has not taken over yet.
    static SPAWNED: RefCell<Vec<Job>> = const { RefCell::new(Vec::new()) };
}

/// Runs `task` beside `main`, on the same thread. It is dropped when `main`
/// ends.
///
/// The handle resolves to what the task returns. Dropping the handle lets the
/// task run on.
pub fn spawn<T: 'static>(task: impl Future<Output = T> + 'static) -> Task<T> {
    let (sender, output) = oneshot::channel();
    let (task, abort) = abortable(task);
    let job = task.map(|ended| {
        if let Ok(output) = ended {
            // Nobody may want to know.
            let _ = sender.send(output);
        }
    });
    SPAWNED.with_borrow_mut(|spawned| spawned.push(Box::pin(job)));
    Task {
        output,
        done: false,
        abort,
    }
}

/// A task that was spawned, as a future of what it returns. That is had once: whoever
/// polls on hears that it was cancelled, and `select!` knows not to.
///
/// ```
/// # async fn example() {
/// let sum = ww_guest_sdk::spawn(async { 1 + 1 });
/// assert_eq!(sum.await, Ok(2));
/// # }
/// ```
///
/// # Cancel safety
///
/// Waiting may be given up and taken up again. Dropping the handle lets the
/// task run on.
#[derive(Debug)]
pub struct Task<T> {
    output: oneshot::Receiver<T>,
    /// The output has been had.
    done: bool,
    abort: AbortHandle,
}

/// The task was cancelled before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl<T> Task<T> {
    /// Drops the task, unless it is done, in the executor's next round.
    pub fn cancel(&self) {
        self.abort.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let output = self.output.poll_unpin(cx);
        self.done |= output.is_ready();
        output.map_err(|oneshot::Canceled| Cancelled)
    }
}

impl<T> FusedFuture for Task<T> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// The spawned tasks of one executor.
pub(crate) struct Tasks {
    running: FuturesUnordered<Job>,
    flag: Flag,
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self {
            running: FuturesUnordered::new(),
            flag: Flag::new(),
        }
    }

    /// Whether polling would do anything.
    pub(crate) fn is_woken(&self) -> bool {
        self.flag.is_raised() || SPAWNED.with_borrow(|spawned| !spawned.is_empty())
    }

    pub(crate) fn poll(&mut self) {
        let spawned = SPAWNED.with_borrow_mut(std::mem::take);
        let grown = !spawned.is_empty();
        self.running.extend(spawned);
        if self.flag.take() || grown {
            let mut cx = Context::from_waker(self.flag.waker());
            while let Poll::Ready(Some(())) = self.running.poll_next_unpin(&mut cx) {}
        }
    }
}

impl Drop for Tasks {
    /// Drops those not taken over too, while there is still a host to tell.
    fn drop(&mut self) {
        self.running.clear();
        loop {
            let spawned = SPAWNED.with_borrow_mut(std::mem::take);
            if spawned.is_empty() {
                break;
            }
            drop(spawned);
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
