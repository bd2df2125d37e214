use std::{io, thread};

use async_executor::LocalExecutor;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::executor::LocalPool;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use futures::task::LocalSpawnExt;
use futures::{StreamExt, pin_mut};
use futures_lite::future::block_on;
use ww_core::clock::Virtual;
use ww_core::workers::{Job, Workers};
use ww_core::{Error, Runtime, RuntimeBuilder};

use crate::body::{Ground, Undriven, body};

/// The body on the runtime's own workers.
fn embedded(runtime: RuntimeBuilder) -> impl Future<Output = Result<(), Error>> + Send {
    let clock = Virtual::new();
    let runtime = runtime.clock(clock.clone()).build();
    body(Ground {
        runtime: runtime.expect("the engine starts"),
        clock,
        drivers: None,
    })
}

/// The body, and the cells that its executor is to drive.
fn driven() -> (
    impl Future<Output = Result<(), Error>> + Send,
    UnboundedReceiver<Undriven>,
) {
    let (drivers, starts) = unbounded();
    let clock = Virtual::new();
    // Its workers refuse, so whatever is not driven fails.
    let runtime = Runtime::builder().workers_on(Nobody).clock(clock.clone());
    let ground = Ground {
        runtime: runtime.build().expect("the engine starts"),
        clock,
        drivers: Some(drivers),
    };
    (body(ground), starts)
}

struct Nobody;

impl Workers for Nobody {
    fn run(&self, _: Job) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[test]
fn the_runtimes_own_workers() {
    block_on(embedded(Runtime::builder().workers(2))).unwrap();
}

#[test]
fn threads_of_the_application() {
    struct One(UnboundedSender<Job>);

    impl Workers for One {
        fn run(&self, job: Job) -> io::Result<()> {
            let sent = self.0.unbounded_send(job);
            sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    let (sender, mut jobs) = unbounded::<Job>();
    let worker = thread::spawn(move || {
        let executor = LocalExecutor::new();
        block_on(executor.run(async {
            while let Some(job) = jobs.next().await {
                executor.spawn(job()).detach();
            }
        }));
    });
    block_on(embedded(Runtime::builder().workers_on(One(sender)))).unwrap();
    // The last cell's job may hold the runtime for a moment longer, but not
    // for ever.
    worker.join().expect("the thread ends with its runtime");
}

#[test]
fn tokio_on_one_thread() {
    let tokio = tokio::runtime::Builder::new_current_thread().build();
    let (body, mut starts) = driven();
    let local = tokio::task::LocalSet::new();
    local
        .block_on(&tokio.expect("tokio starts"), async {
            tokio::task::spawn_local(async move {
                while let Some(start) = starts.next().await {
                    tokio::task::spawn_local(start.drive());
                }
            });
            body.await
        })
        .unwrap();
}

#[test]
fn tokio_on_many_threads() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("tokio starts");
    let (body, mut starts) = driven();
    // The handles live on tokio's workers, the cells on this thread.
    let body = tokio.spawn(body);
    let local = tokio::task::LocalSet::new();
    local
        .block_on(&tokio, async {
            tokio::task::spawn_local(async move {
                while let Some(start) = starts.next().await {
                    tokio::task::spawn_local(start.drive());
                }
            });
            body.await
        })
        .expect("the body does not panic")
        .unwrap();
}

#[test]
fn smol() {
    let (body, mut starts) = driven();
    let executor = smol::LocalExecutor::new();
    let drive = async {
        while let Some(start) = starts.next().await {
            executor.spawn(start.drive()).detach();
        }
    };
    let both = executor.run(async { smol::future::zip(body, drive).await.0 });
    smol::block_on(both).unwrap();
}

#[test]
fn the_local_pool_of_futures() {
    let (body, mut starts) = driven();
    let mut pool = LocalPool::new();
    let spawner = pool.spawner();
    let drive = async {
        while let Some(start) = starts.next().await {
            spawner.spawn_local(start.drive()).expect("the pool runs");
        }
    };
    pool.run_until(futures::future::join(body, drive))
        .0
        .unwrap();
}

/// No executor at all: one future, which polls the body and the cells.
#[test]
fn a_bare_block_on() {
    let (body, mut starts) = driven();
    let alone = async {
        let drive = async {
            let mut drivers = FuturesUnordered::new();
            loop {
                futures::select_biased! {
                    start = starts.select_next_some() => drivers.push(Box::pin(start.drive())),
                    () = drivers.select_next_some() => {}
                }
            }
        };
        pin_mut!(body, drive);
        match select(body, drive).await {
            Either::Left((result, _)) => result,
            Either::Right((never, _)) => never,
        }
    };
    block_on(alone).unwrap();
}
