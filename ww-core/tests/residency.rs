//! Cells that have ended leave nothing in memory, however they ended. Alone in
//! its file, because it counts what the whole process holds.
#![cfg(target_os = "linux")]

#[path = "cell/patience.rs"]
mod patience;

use std::fs;

use futures::AsyncReadExt;
use ww_core::cell::{Builder, Input, Local, Output};
use ww_core::{Error, Program, Runtime};
use ww_rpc::peer_capnp::executor;

use patience::patiently;

/// Cells until all that is kept on purpose is there.
const WARM: usize = 1_000;

/// Cells in all.
const CELLS: usize = 10_000;

/// What the process may have grown by in between, in bytes.
const GROWTH: usize = 1 << 20;

/// One program for each way to end.
struct Diet {
    exits: Program,
    traps: Program,
    spins: Program,
    exports: Program,
}

impl Diet {
    /// With a pool of so many places.
    async fn new(places: u32) -> Self {
        let runtime = Runtime::builder().cells(places).workers(1).build();
        let runtime = runtime.expect("the engine starts");
        let compile = async |name| {
            let compiled = runtime.compile(example_images::wasm(name)).await;
            compiled.expect("it compiles")
        };
        Self {
            exits: compile("hello").await,
            traps: compile("traps").await,
            spins: compile("spins").await,
            exports: compile("exporter").await,
        }
    }

    async fn cell(&self, number: usize) {
        let builder = |program: &Program| Builder::new().program(program.clone());
        match number % 4 {
            0 => {
                let builder = builder(&self.exits).stdout(Output::piped());
                let cell = builder.spawn().await.expect("it spawns");
                let mut said = String::new();
                let mut stdout = cell.take_stdout().expect("it is piped");
                stdout.read_to_string(&mut said).await.expect("it is text");
                assert_eq!(said, "Hello from a cell!\n");
                assert!(cell.wait().await.expect("it exits").success());
            }
            1 => {
                let cell = builder(&self.traps).spawn().await.expect("it spawns");
                let ended = cell.wait().await;
                assert!(matches!(ended, Err(Error::Trap { .. })), "{ended:?}");
            }
            2 => {
                let cell = builder(&self.spins).spawn().await.expect("it spawns");
                cell.with(async |_| Ok(())).await.expect("it runs");
                cell.kill();
                let ended = cell.wait().await;
                assert!(matches!(ended, Err(Error::Killed)), "{ended:?}");
            }
            _ => {
                let builder = builder(&self.exports).stdin(Input::piped());
                let cell = builder.spawn().await.expect("it spawns");
                let called = cell.with(async |local: Local| {
                    let exported: executor::Client = local.exported();
                    exported.echo_request().send().promise.await?;
                    Ok(())
                });
                called.await.expect("it answers");
                drop(cell.take_stdin());
                assert!(cell.wait().await.expect("it exits").success());
            }
        }
    }
}

#[test]
fn nine_thousand_cells_grow_the_process_by_less_than_a_mebibyte() {
    // In the pool, and beside it.
    for places in [1_000, 0] {
        patiently(async {
            let diet = Diet::new(places).await;
            for number in 0..WARM {
                diet.cell(number).await;
            }
            let before = resident();
            for number in WARM..CELLS {
                diet.cell(number).await;
            }
            let after = resident();
            assert!(after < before + GROWTH, "from {before} to {after} bytes");
        });
    }
}

/// Bytes of this process that are in memory, exactly: the columns of `statm`
/// lag behind.
fn resident() -> usize {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("procfs is mounted");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.strip_suffix("kB"));
    kib.expect("a line")
        .trim()
        .parse::<usize>()
        .expect("a number")
        << 10
}
