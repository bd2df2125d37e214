//! The pool, and what runs beside it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::AsyncWrite;
use futures::future::join_all;
use futures_lite::future::{block_on, poll_once};
use ww_core::cell::{Builder, Cell, Input, Limits, Output};
use ww_core::{Error, Program, Runtime};

/// A command whose memories have `pages` pages each, and which traps unless it
/// can grow the first one by `more`.
fn command(pages: &[u32], more: u32) -> Vec<u8> {
    let memories: String = pages
        .iter()
        .enumerate()
        .map(|(index, pages)| {
            format!("(core module $m{index} (memory (export \"m\") {pages}))\n(core instance $i{index} (instantiate $m{index}))")
        })
        .collect();
    let text = format!(
        r#"(component
             {memories}
             (core module $module
               (import "i" "m" (memory 0))
               (func (export "run") (result i32)
                 (if (i32.eq (memory.grow (i32.const {more})) (i32.const -1))
                   (then unreachable))
                 i32.const 0))
             (core instance $instance (instantiate $module (with "i" (instance $i0))))
             (func $run (result (result)) (canon lift (core func $instance "run")))
             (instance $interface (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $interface)))"#
    );
    wat::parse_str(text).expect("it is well-formed")
}

fn runtime(cells: u32) -> Runtime {
    let builder = Runtime::builder().workers(1).cells(cells);
    builder.build().expect("it starts")
}

async fn waiting(program: &Program) -> Cell {
    let builder = Builder::new().program(program.clone());
    let cell = builder.stdin(Input::piped()).spawn().await;
    cell.expect("it spawns")
}

/// Lives to its end, and says whether that was in the pool.
async fn live(runtime: &Runtime, program: &Program, limits: Limits) -> (bool, Result<i32, Error>) {
    let builder = Builder::new().program(program.clone()).limits(limits);
    let (cell, start) = builder.prepare().await.expect("there is room");
    let pooled = runtime.occupancy().pooled == 1;
    assert_eq!(runtime.occupancy().cells, 1);
    start.drive().await;
    assert_eq!(runtime.occupancy().cells, 0);
    (pooled, cell.wait().await.map(|exit| exit.code()))
}

#[test]
fn cells_beyond_the_pool_run_as_well() {
    let runtime = runtime(2);
    block_on(async {
        let exporter = example_images::wasm("exporter");
        let program = runtime.compile(exporter).await.expect("it compiles");
        for _ in 0..3 {
            let cells = join_all((0..6).map(|_| waiting(&program))).await;
            let occupancy = runtime.occupancy();
            assert_eq!((occupancy.cells, occupancy.pooled), (6, 2));
            for cell in &cells {
                drop(cell.take_stdin());
            }
            for cell in &cells {
                assert!(cell.wait().await.expect("it exits").success());
            }
        }
        let occupancy = runtime.occupancy();
        assert_eq!((occupancy.cells, occupancy.pooled), (0, 0));
    });
}

#[test]
fn what_does_not_fit_the_pool_runs_beside_it() {
    let default = Limits::default();
    let mut roomy = default;
    roomy.memory = 512 << 20;
    let mut long = default;
    long.table_elements = 200_000;
    let beyond = (300 << 20) / 65_536;
    for (what, wasm, limits, expected) in [
        ("one memory", command(&[1], 1), default, (true, true)),
        ("two memories", command(&[1, 1], 1), default, (false, true)),
        (
            "more than a cell may have",
            command(&[1], beyond),
            default,
            (true, false),
        ),
        (
            "as much as it may",
            command(&[1], beyond),
            roomy,
            (true, true),
        ),
        (
            "as much to begin with",
            command(&[beyond], 1),
            roomy,
            (true, true),
        ),
        ("longer tables", command(&[1], 1), long, (false, true)),
    ] {
        let runtime = runtime(2);
        block_on(async {
            let program = runtime.compile(wasm).await.expect("it compiles");
            let (pooled, ended) = live(&runtime, &program, limits).await;
            assert_eq!((pooled, ended.is_ok()), expected, "{what}: {ended:?}");
        });
    }
}

#[test]
fn a_pool_may_have_no_places() {
    let runtime = runtime(0);
    block_on(async {
        let program = runtime.compile(command(&[1], 1)).await;
        let program = program.expect("it compiles");
        let (pooled, ended) = live(&runtime, &program, Limits::default()).await;
        assert!(!pooled && ended.is_ok(), "{ended:?}");
    });
}

/// Takes nothing, ever.
struct Stuck;

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn a_guest_that_has_returned_gives_its_place_back_before_its_output_is_taken() {
    // Leaves a line behind without waiting for it.
    let wasm = wat::parse_str(
        r#"(component
             (import "wasi:io/error@0.2.0" (instance $error
               (export "error" (type (sub resource)))))
             (alias export $error "error" (type $error-type))
             (import "wasi:io/streams@0.2.0" (instance $streams
               (alias outer 1 $error-type (type $failed))
               (export "error" (type (eq $failed)))
               (type $fault (variant (case "last-operation-failed" (own 1)) (case "closed")))
               (export "stream-error" (type $stream-error (eq $fault)))
               (export "output-stream" (type $out (sub resource)))
               (export "[method]output-stream.check-write" (func
                 (param "self" (borrow $out)) (result (result u64 (error $stream-error)))))
               (export "[method]output-stream.write" (func
                 (param "self" (borrow $out)) (param "contents" (list u8))
                 (result (result (error $stream-error)))))))
             (alias export $streams "output-stream" (type $out))
             (import "wasi:cli/stdout@0.2.0" (instance $stdout
               (alias outer 1 $out (type $written))
               (export "output-stream" (type (eq $written)))
               (export "get-stdout" (func (result (own 1))))))
             (core module $memory (memory (export "memory") 1))
             (core instance $memory (instantiate $memory))
             (core func $stdout (canon lower (func $stdout "get-stdout")))
             (core func $check (canon lower
               (func $streams "[method]output-stream.check-write")
               (memory (core memory $memory "memory"))))
             (core func $write (canon lower
               (func $streams "[method]output-stream.write")
               (memory (core memory $memory "memory"))))
             (core module $module
               (import "host" "stdout" (func $stdout (result i32)))
               (import "host" "check" (func $check (param i32 i32)))
               (import "host" "write" (func $write (param i32 i32 i32 i32)))
               (func (export "run") (result i32) (local $out i32)
                 (local.set $out (call $stdout))
                 (call $check (local.get $out) (i32.const 64))
                 (call $write (local.get $out) (i32.const 0) (i32.const 5) (i32.const 64))
                 i32.const 0))
             (core instance $instance (instantiate $module (with "host" (instance
               (export "stdout" (func $stdout))
               (export "check" (func $check))
               (export "write" (func $write))))))
             (func $run (result (result)) (canon lift (core func $instance "run")))
             (instance $interface (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $interface)))"#,
    );
    let runtime = runtime(2);
    block_on(async {
        let program = runtime.compile(wasm.expect("it is well-formed")).await;
        let builder = Builder::new().program(program.expect("it compiles"));
        let builder = builder.stdout(Output::writer(Stuck));
        let (cell, start) = builder.prepare().await.expect("there is room");
        assert_eq!(runtime.occupancy().pooled, 1);
        let mut driver = start.drive();
        assert!(poll_once(&mut driver).await.is_none());
        assert_eq!(runtime.occupancy().pooled, 0);
        assert!(poll_once(cell.wait()).await.is_none());
    });
}
