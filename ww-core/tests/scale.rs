//! Ten thousand cells in one process, with the kernel's settings as they are.
//! Alone in its file, because it counts what the whole process holds.
#![cfg(target_os = "linux")]

#[path = "hostile/held.rs"]
mod held;
#[path = "cell/patience.rs"]
mod patience;

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::{io, thread};

use futures::future::{join, try_join_all};
use ww_core::cell::{Builder, Cell, Input, Local};
use ww_core::{Error, Program, Runtime};
use ww_rpc::peer_capnp::executor;

use held::held;
use patience::patiently;

const CELLS: usize = 10_000;

/// Crowds, of which one has to leave no mapping behind. The system's allocator
/// may keep the regions that it grew for one, and the next finds room in them;
/// what the runtime forgot to unmap would be there after each.
const CROWDS: usize = 4;

/// How many times a bystander computes while the cells wait.
const SPAN: usize = 5;

/// And how many times at most until they do.
const SETTLING: usize = 50;

#[test]
fn ten_thousand_cells_wait_at_no_cost_and_then_answer_and_then_leave() {
    patiently(async {
        let bystander = Bystander::new().await;
        // Once with few, so that all that is kept on purpose is there.
        live(10, &bystander).await;
        let [threads, files, mut mappings] = held();
        for _ in 0..CROWDS {
            live(CELLS, &bystander).await;
            let after = held();
            assert_eq!([after[0], after[1]], [threads, files]);
            if after[2] <= mappings {
                return;
            }
            mappings = after[2];
        }
        panic!("each crowd leaves mappings behind, {mappings} by now");
    });
}

/// The life of `count` cells, and of the runtime that they share.
async fn live(count: usize, bystander: &Bystander) {
    let others = threads();
    let runtime = Runtime::builder().cells(CELLS as u32).workers(2).build();
    let runtime = runtime.expect("there is room");
    let exporter = runtime.compile(example_images::wasm("exporter")).await;
    let exporter = exporter.expect("it compiles");

    let cells = try_join_all((0..count).map(|_| spawn(&exporter))).await;
    let cells = cells.expect("they spawn");
    assert_eq!(runtime.occupancy().cells, count);
    // What has answered has started, and has nothing left to do.
    answer(&cells).await;
    let threads_of_cells = &threads() - &others;
    bystander.computes_beside(&threads_of_cells).await;
    answer(&cells).await;

    for cell in &cells {
        drop(cell.take_stdin());
    }
    for cell in &cells {
        assert!(cell.wait().await.expect("it exits").success());
    }
    assert_eq!(runtime.occupancy().cells, 0);
    drop((cells, exporter, runtime));
    // They end with their runtime, and nobody can wait for them.
    while !threads_of_cells.is_disjoint(&threads()) {
        thread::yield_now();
    }
}

async fn spawn(exporter: &Program) -> Result<Cell, Error> {
    let builder = Builder::new().program(exporter.clone());
    builder.stdin(Input::piped()).spawn().await
}

/// Calls all at once, and waits for all the answers.
async fn answer(cells: &[Cell]) {
    let calls = cells.iter().map(|cell| {
        cell.with(async |local: Local| {
            let exported: executor::Client = local.exported();
            let mut request = exported.echo_request();
            request.get().set_message("anyone there?");
            let response = request.send().promise.await?;
            let text = response.get()?.get_response()?.to_str();
            assert_eq!(text, Ok("Echo: anyone there?"));
            Ok(())
        })
    });
    try_join_all(calls).await.expect("they answer");
}

/// A guest that computes on the test's own thread, while nobody else should.
struct Bystander(Program);

impl Bystander {
    async fn new() -> Self {
        let text = r#"(component
            (core module $m (func (export "run") (result i32) (local $left i32)
                (local.set $left (i32.const 300_000_000))
                (loop
                    (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                    (br_if 0 (local.get $left)))
                (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#;
        let wasm = wat::parse_str(text).expect("this is a component");
        let runtime = Runtime::builder().cells(0).build();
        let compiled = runtime.expect("the engine starts").compile(wasm).await;
        let this = Self(compiled.expect("it compiles"));
        // So that its runtime's own threads are there.
        this.computes().await;
        this
    }

    async fn computes(&self) {
        let builder = Builder::new().program(self.0.clone());
        let (cell, start) = builder.prepare().await.expect("it is ready");
        let (ended, ()) = join(cell.wait(), start.drive()).await;
        assert!(ended.expect("it exits").success());
    }

    /// Computes while none of these threads is scheduled at all: neither to do
    /// something nor to look whether there is something to do.
    async fn computes_beside(&self, threads: &BTreeSet<u64>) {
        // What they have just done may leave them with some tidying up.
        for _ in 0..SETTLING {
            let before = switches(threads);
            self.computes().await;
            if switches(threads) == before {
                break;
            }
        }
        let before = switches(threads);
        for _ in 0..SPAN {
            self.computes().await;
        }
        assert_eq!(switches(threads), before);
    }
}

/// How often each of these threads left a processor.
fn switches(threads: &BTreeSet<u64>) -> Vec<u64> {
    let of = |thread| {
        let status = of_thread(thread, "status").expect("it is there");
        let count = |line: &str| {
            line.split_once("voluntary_ctxt_switches:")?
                .1
                .trim()
                .parse()
                .ok()
        };
        let both: Vec<u64> = status.lines().filter_map(count).collect();
        assert_eq!(both.len(), 2, "{status}");
        both.iter().sum()
    };
    threads.iter().copied().map(of).collect()
}

/// The threads that runtimes have started.
fn threads() -> BTreeSet<u64> {
    let tasks = fs::read_dir("/proc/self/task").expect("procfs is mounted");
    let started = |entry: io::Result<DirEntry>| {
        let thread = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let ours = of_thread(thread, "comm")?.starts_with("ww-");
        ours.then_some(thread)
    };
    tasks.filter_map(started).collect()
}

/// `None` where the thread has ended.
fn of_thread(thread: u64, file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).ok()
}
