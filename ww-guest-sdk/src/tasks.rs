use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{FuturesUnordered, StreamExt};

use crate::flag::Flag;

type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Tasks that the executor has not taken over yet.
    static SPAWNED: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

/// Runs `task` beside `main`, on the same thread. It is dropped when `main`
/// ends.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    SPAWNED.with_borrow_mut(|spawned| spawned.push(Box::pin(task)));
}

/// The spawned tasks of one executor.
pub(crate) struct Tasks {
    running: FuturesUnordered<Task>,
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
