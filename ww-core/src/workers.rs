//! The threads that cells live on, which an application may bring itself.

use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use async_executor::LocalExecutor;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};

/// A job for a worker: makes, on the worker's thread, a future that stays
/// there.
pub type Job = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// Threads that cells live on.
///
/// - `run` does not block and does not run the job on the caller's stack.
/// - The job runs on one thread, and the future that it makes is polled there
///   to its end, beside those of other jobs.
/// - A job that cannot be taken is dropped, or `run` answers why; either way
///   whoever waits for it learns that it is gone.
pub trait Workers: Send + Sync {
    /// Hands `job` to one of the threads.
    ///
    /// # Errors
    ///
    /// Why no thread could be had.
    fn run(&self, job: Job) -> io::Result<()>;
}

impl<W: Workers + ?Sized> Workers for Arc<W> {
    fn run(&self, job: Job) -> io::Result<()> {
        (**self).run(job)
    }
}

/// Stack of a worker, in bytes of address space. Guests run on stacks of their
/// own; this one is for the RPC system, which recurses where promises resolve
/// to promises, as deep as peers make them.
const STACK: usize = 64 << 20;

/// Threads of our own, each with a single-threaded executor, started when
/// first needed. They end when the last job is done and this is dropped.
pub(crate) struct Threads(Mutex<Started>);

struct Started {
    /// `None` where none was needed yet, or none could be had.
    threads: Vec<Option<Thread>>,
    next: usize,
}

struct Thread {
    jobs: mpsc::UnboundedSender<Job>,
    load: Arc<AtomicUsize>,
}

impl Threads {
    pub(crate) fn new(count: usize) -> Self {
        let threads = (0..count.max(1)).map(|_| None).collect();
        Self(Mutex::new(Started { threads, next: 0 }))
    }
}

impl Started {
    /// The thread with the fewest jobs; among equals they take turns. One that
    /// is not there, or has ended, is started; where that fails, another serves.
    fn lightest(&mut self) -> io::Result<&Thread> {
        let (start, count) = (self.next, self.threads.len());
        self.next = (start + 1) % count;
        let turns = (0..count).map(|offset| (start + offset) % count);
        let load = |index: &usize| self.threads[*index].as_ref().and_then(Thread::load);
        let mut index = turns
            .clone()
            .min_by_key(|index| load(index).unwrap_or(0))
            .unwrap_or(0);
        if load(&index).is_none() {
            match Thread::start(index) {
                Ok(thread) => self.threads[index] = Some(thread),
                Err(error) => {
                    let running = turns.filter_map(|index| Some((load(&index)?, index)));
                    (_, index) = running.min_by_key(|(load, _)| *load).ok_or(error)?;
                }
            }
        }
        self.threads[index]
            .as_ref()
            .ok_or_else(|| io::Error::other("no worker thread"))
    }
}

impl Workers for Threads {
    fn run(&self, job: Job) -> io::Result<()> {
        let mut started = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = started.lightest()?;
        thread.load.fetch_add(1, Ordering::Relaxed);
        thread.jobs.unbounded_send(job).map_err(|_| {
            thread.load.fetch_sub(1, Ordering::Relaxed);
            io::Error::other("the worker thread has ended")
        })
    }
}

impl Thread {
    fn start(index: usize) -> io::Result<Self> {
        let (jobs, queue) = mpsc::unbounded();
        let load = Arc::new(AtomicUsize::new(0));
        let counted = load.clone();
        thread::Builder::new()
            .name(format!("ww-worker-{index}"))
            .stack_size(STACK)
            .spawn(move || futures_lite::future::block_on(serve(queue, counted)))?;
        Ok(Self { jobs, load })
    }

    /// How many jobs it has. `None` where it has ended.
    fn load(&self) -> Option<usize> {
        (!self.jobs.is_closed()).then(|| self.load.load(Ordering::Relaxed))
    }
}

/// Runs jobs until no more can come and all are done. A job that panics ends
/// alone: its neighbours go on.
async fn serve(mut queue: mpsc::UnboundedReceiver<Job>, load: Arc<AtomicUsize>) {
    let executor = Rc::new(LocalExecutor::new());
    let spawner = executor.clone();
    // A task like the jobs themselves: what `run` is given gets its turn only
    // when there is nothing else to do, or after hundreds of others.
    let accept = executor.spawn(async move {
        while let Some(job) = queue.next().await {
            let load = Loaded(load.clone());
            let run = async move {
                let _load = load;
                job().await;
            };
            let contained = AssertUnwindSafe(run).catch_unwind();
            spawner.spawn(contained.map(drop)).detach();
        }
    });
    executor.run(accept).await;
    while !executor.is_empty() {
        executor.tick().await;
    }
}

/// One job's share of a thread's load, given back however the job ends.
struct Loaded(Arc<AtomicUsize>);

impl Drop for Loaded {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc::channel;
    use std::task::Poll;

    use super::*;

    #[test]
    fn a_thread_that_has_ended_is_replaced() {
        let threads = Threads::new(1);
        let (jobs, _) = mpsc::unbounded();
        let ended = Thread {
            jobs,
            load: Arc::default(),
        };
        threads.0.lock().expect("nobody panics").threads[0] = Some(ended);
        let (sender, ran) = channel();
        let job = move || async move { sender.send(()).expect("the test waits") }.boxed_local();
        threads.run(Box::new(job)).expect("a thread");
        ran.recv().expect("it runs");
    }

    #[test]
    fn a_job_begins_however_busy_its_neighbours_are() {
        let threads = Arc::new(Threads::new(1));
        let workers = threads.clone();
        let (sender, turns) = channel();
        let busy = move || {
            let begun = Arc::new(AtomicUsize::new(0));
            let mut turn = 0;
            // Always ready for another turn, until the other has begun.
            let busy = poll_fn(move |cx| {
                if turn == 0 {
                    let begun = begun.clone();
                    let other = move || async move { begun.store(1, Ordering::Relaxed) };
                    let taken = workers.run(Box::new(move || other().boxed_local()));
                    taken.expect("its thread is this one");
                } else if begun.load(Ordering::Relaxed) == 1 {
                    sender.send(turn).expect("the test waits");
                    return Poll::Ready(());
                }
                turn += 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            busy.boxed_local()
        };
        threads.run(Box::new(busy)).expect("a thread");
        assert!(turns.recv().expect("it ends") <= 3);
    }
}
