use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use futures::future::LocalBoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};

use super::call::Call;
use super::export::Resolving;

/// Tasks that may end in a poll: each may have begun another.
const ENDED: usize = 256;

/// What runs for the peer, in the order in which it was woken.
#[derive(Default)]
pub(super) struct Tasks(FuturesUnordered<Task>);

/// What is to run from the next poll on.
#[derive(Default)]
pub(super) struct NewTasks {
    tasks: RefCell<Vec<Task>>,
    /// Wakes whoever polls, where that is not under way.
    waker: RefCell<Option<Waker>>,
}

pub(super) enum Task {
    Call(Weak<Call>),
    Resolve(Weak<Resolving>),
    Other(LocalBoxFuture<'static, ()>),
}

impl NewTasks {
    pub(super) fn push(&self, task: Task) {
        self.tasks.borrow_mut().push(task);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What has come, for a poll that is under way.
    fn take(&self) -> Vec<Task> {
        self.waker.replace(None);
        std::mem::take(&mut *self.tasks.borrow_mut())
    }

    fn is_empty(&self) -> bool {
        self.tasks.borrow().is_empty()
    }

    /// Has whoever polls woken for what comes from now on.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        self.waker.replace(Some(cx.waker().clone()));
        if !self.is_empty() {
            cx.waker().wake_by_ref();
        }
    }
}

impl Tasks {
    /// Whether nothing runs.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&self, task: Task) {
        self.0.push(task);
    }

    /// Lets all that was woken come as far as it can.
    pub(super) fn poll(&mut self, new: &NewTasks, cx: &mut Context<'_>) {
        for _ in 0..ENDED {
            self.0.extend(new.take());
            if self.0.is_empty() {
                return;
            }
            if !matches!(self.0.poll_next_unpin(cx), Poll::Ready(Some(()))) {
                if new.is_empty() {
                    return;
                }
                break;
            }
        }
        // The rest is for the next poll.
        self.0.extend(new.take());
        cx.waker().wake_by_ref();
    }

    /// Drops all that runs. Calls may hold themselves, by promises of their own
    /// answers.
    pub(super) fn cancel(&mut self, new: &NewTasks) {
        for task in std::mem::take(&mut self.0).into_iter().chain(new.take()) {
            if let Task::Call(call) = task
                && let Some(call) = call.upgrade()
            {
                call.cancel();
            }
        }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::Call(call) => match call.upgrade() {
                Some(call) => call.poll(cx),
                None => Poll::Ready(()),
            },
            Self::Resolve(resolving) => match resolving.upgrade() {
                Some(resolving) => resolving.poll(cx),
                None => Poll::Ready(()),
            },
            Self::Other(future) => future.as_mut().poll(cx),
        }
    }
}

impl Task {
    pub(super) fn call(call: &Rc<Call>) -> Self {
        Self::Call(Rc::downgrade(call))
    }
}
