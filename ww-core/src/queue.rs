use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;

/// Work for threads of the `blocking` pool, in the order in which it came and so much
/// of it at a time.
///
/// A thread that is done takes what comes next by itself: who waits and is not polled
/// is in nobody's way.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Mutex<Jobs>>);

struct Jobs {
    /// What is waited for and has not begun, by when it came.
    waiting: BTreeMap<u64, Job>,
    next: u64,
    /// Threads that take from it, and how many there may be.
    threads: usize,
    most: usize,
}

type Job = Box<dyn FnOnce() + Send>;

/// Somebody waits for a job. Dropping it takes that out, if it has not begun.
struct Ticket<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Queue {
    /// One of which `most` jobs run at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Jobs {
            waiting: BTreeMap::new(),
            next: 0,
            threads: 0,
            most,
        })))
    }

    /// Has a thread do `work` when its turn comes, and answers what that answers. A
    /// panic goes on here.
    ///
    /// # Cancel safety
    ///
    /// Nothing happens before this is polled. Dropped before the work begins, it drops
    /// the work; what has begun goes on.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = oneshot::channel();
        let _ticket = self.put(Box::new(move || {
            // Nothing of what was touched is used again.
            let done = catch_unwind(AssertUnwindSafe(work));
            // Nobody waits any more.
            let _ = sender.send(done);
        }));
        let done = receiver.await;
        done.expect("what has begun answers, and the rest waits as long as the ticket")
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn put(&self, job: Job) -> Ticket<'_> {
        let (number, more) = {
            let mut jobs = self.lock();
            let number = jobs.next;
            jobs.next += 1;
            jobs.waiting.insert(number, job);
            let more = jobs.threads < jobs.most;
            jobs.threads += usize::from(more);
            (number, more)
        };
        if more {
            let queue = self.clone();
            blocking::unblock(move || queue.serve()).detach();
        }
        Ticket {
            queue: self,
            number,
        }
    }

    fn serve(&self) {
        while let Some(job) = self.take() {
            job();
        }
    }

    /// What comes next. Where nothing does, the thread has gone.
    fn take(&self) -> Option<Job> {
        let mut jobs = self.lock();
        let next = jobs.waiting.pop_first();
        if next.is_none() {
            jobs.threads -= 1;
        }
        next.map(|(_, job)| job)
    }

    /// Every change is whole before it can panic.
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let job = self.queue.lock().waiting.remove(&self.number);
        // With the queue unlocked: what it holds may come back here.
        drop(job);
    }
}

#[cfg(test)]
mod tests;
