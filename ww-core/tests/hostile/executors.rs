use std::io;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use ww_core::cell::Start;
use ww_core::workers::{Job, Workers};
use ww_core::{Runtime, RuntimeBuilder};

use crate::ground::Ground;
use crate::patience::patiently;
use crate::suite::suite;

/// Held by the test whose turn it is.
static TURN: Mutex<()> = Mutex::new(());

/// Runs a test alone.
fn alone(test: impl FnOnce()) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    patiently(async { test() });
}

/// Cells are driven: whatever is left to workers fails.
struct Nobody;

impl Workers for Nobody {
    fn run(&self, _: Job) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A ground, and the cells that its executor is to drive.
fn driven(runtime: RuntimeBuilder) -> (Ground, UnboundedReceiver<Start>) {
    let (drivers, starts) = unbounded();
    let ground = Ground {
        runtime: runtime.workers_on(Nobody).build().expect("it starts"),
        drivers: Some(drivers),
    };
    (ground, starts)
}

#[test]
fn hostile_guests_on_a_worker_of_the_runtime() {
    alone(|| {
        let runtime = Runtime::builder().workers(1).build();
        let ground = Ground {
            runtime: runtime.expect("it starts"),
            drivers: None,
        };
        futures_lite::future::block_on(suite(ground));
    });
}

#[test]
fn hostile_guests_on_tokio() {
    alone(|| {
        let tokio = tokio::runtime::Builder::new_current_thread().build();
        let (ground, mut starts) = driven(Runtime::builder());
        let local = tokio::task::LocalSet::new();
        local.block_on(&tokio.expect("tokio starts"), async {
            tokio::task::spawn_local(async move {
                while let Some(start) = starts.next().await {
                    tokio::task::spawn_local(start.drive());
                }
            });
            suite(ground).await;
        });
    });
}

/// And beside the pool of places for cells.
#[test]
fn hostile_guests_on_the_local_pool_of_futures() {
    alone(|| {
        let (ground, mut starts) = driven(Runtime::builder().cells(0));
        let mut pool = LocalPool::new();
        let spawner = pool.spawner();
        let drive = async {
            while let Some(start) = starts.next().await {
                spawner.spawn_local(start.drive()).expect("the pool runs");
            }
        };
        pool.run_until(futures::future::join(suite(ground), drive));
    });
}
