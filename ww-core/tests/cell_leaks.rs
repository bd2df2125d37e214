//! Cells that have ended leave nothing in the process. Alone in its file,
//! because it counts what the whole process holds.
#![cfg(target_os = "linux")]

use std::fs;

use futures::AsyncReadExt;
use futures::future::join_all;
use futures_lite::future::block_on;
use ww_core::cell::{Builder, Input, Output};
use ww_core::{Program, Runtime};

/// Cells that live at a time, and how often.
const BATCH: usize = 50;
const BATCHES: usize = 20;

/// Places of the pool, fewer than there are cells at a time.
const PLACES: u32 = 25;

/// Maps that the allocators may take and keep in the meantime.
const SLACK: usize = 16;

#[derive(Debug)]
struct Held {
    threads: usize,
    files: usize,
    maps: usize,
}

fn held() -> Held {
    let entries = |of: &str| fs::read_dir(of).expect("procfs is mounted").count();
    Held {
        threads: entries("/proc/self/task"),
        files: entries("/proc/self/fd"),
        maps: fs::read_to_string("/proc/self/maps")
            .expect("procfs is mounted")
            .lines()
            .count(),
    }
}

/// Cells that speak RPC and their standard streams, all at once.
async fn batch(program: &Program) {
    let live = |index: usize| async move {
        let cell = Builder::new()
            .program(program.clone())
            .stdin(Input::piped())
            .stdout(Output::piped())
            .spawn()
            .await
            .expect("it spawns");
        let mut stdout = cell.take_stdout().expect("it is piped");
        cell.with(async |local| {
            local.spawn(std::future::pending());
            Ok(())
        })
        .await
        .expect("it runs");
        match index % 3 {
            0 => cell.kill(),
            1 => drop(cell.take_stdin()),
            _ => return,
        }
        let ended = cell.wait().await;
        assert_eq!(ended.is_ok(), index % 3 == 1, "{ended:?}");
        let read = stdout.read_to_end(&mut Vec::new()).await;
        assert_eq!(read.expect("a pipe does not fail"), 0);
    };
    join_all((0..BATCH).map(live)).await;
}

#[test]
fn a_thousand_cells_leave_no_thread_no_file_and_no_memory_map() {
    block_on(async {
        let pool = Runtime::builder().workers(2).cells(PLACES);
        let runtime = pool.build().expect("it starts");
        let exporter = example_images::wasm("exporter");
        let program = runtime.compile(exporter).await.expect("it compiles");
        fill(&program).await;
        batch(&program).await;
        settle(&program).await;
        let before = held();
        for _ in 0..BATCHES {
            batch(&program).await;
        }
        settle(&program).await;
        let after = held();
        assert!(after.threads <= before.threads, "{before:?} {after:?}");
        assert!(after.files <= before.files, "{before:?} {after:?}");
        assert!(after.maps <= before.maps + SLACK, "{before:?} {after:?}");
    });
}

/// Uses every place of the pool, which keeps what was mapped there.
async fn fill(program: &Program) {
    let cells: Vec<_> = (0..PLACES)
        .map(|_| {
            Builder::new()
                .program(program.clone())
                .stdin(Input::piped())
        })
        .map(|builder| builder.spawn())
        .collect();
    for cell in &join_all(cells).await {
        let cell = cell.as_ref().expect("it spawns");
        // It runs the first one before its guest's first turn, and the second
        // one after.
        for _ in 0..2 {
            cell.with(async |_| Ok(())).await.expect("it runs");
        }
    }
}

/// Cells whose handle was dropped end in their workers' next turn: one more on
/// each worker comes behind them.
async fn settle(program: &Program) {
    for _ in 0..4 {
        let cell = Builder::new().program(program.clone()).spawn().await;
        cell.expect("it spawns").wait().await.expect("it ends");
    }
}
