//! A cell's life beside that of a bare wasmtime instance.

use std::time::Duration;

use criterion::Criterion;
use futures_lite::future::block_on;
use wasmtime::component::Component;
use ww_benches::bare::{self, Bare};
use ww_benches::time::{cpu, wall};
use ww_benches::{Outcome, Rounds, Table, cells};
use ww_core::cache::Cache;
use ww_core::cell::Builder;
use ww_core::{Program, Runtime};

/// A command that returns at once: what is left of a life is its beginning and
/// its end.
const NOOP: &str = r#"
(component
  (core module $module (func (export "run") (result i32) i32.const 0))
  (core instance $instance (instantiate $module))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $interface (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $interface)))
"#;

/// A command whose first instructions call its host.
const FIRST: &str = r#"
(component
  (import "wasi:clocks/monotonic-clock@0.2.0"
    (instance $clock (export "resolution" (func (result u64)))))
  (core func $resolution (canon lower (func $clock "resolution")))
  (core module $module
    (import "clock" "resolution" (func $resolution (result i64)))
    (func (export "run") (result i32) (drop (call $resolution)) i32.const 0))
  (core instance $instance (instantiate $module
    (with "clock" (instance (export "resolution" (func $resolution))))))
  (func $run (result (result)) (canon lift (core func $instance "run")))
  (instance $interface (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $interface)))
"#;

const LIFE: &str = "bare life";

fn main() -> Outcome<()> {
    let criterion = &mut Criterion::default().configure_from_args();
    let table = &mut Table::new();
    let runtime = &Runtime::new()?;

    compile(criterion, table)?;
    cold(criterion, table)?;
    first(criterion, table, runtime)?;
    let noop = wat::parse_str(NOOP)?;
    let program = &block_on(runtime.compile(noop.clone()))?;
    let peer = &Bare::alone(&bare::engine()?, &noop)?;
    lives(criterion, table, "noop", program, || peer.live());
    hello(criterion, table, runtime)?;
    caller(criterion, table, runtime)?;

    criterion.final_summary();
    table.print();
    Ok(())
}

/// From bytes to a program.
fn compile(criterion: &mut Criterion, table: &mut Table) -> Outcome<()> {
    let wasm = &example_images::wasm("hello");
    let engine = bare::engine()?;
    let rounds = Rounds::new(
        |times| {
            sum(times, || {
                let (runtime, wasm) = (Runtime::new()?, wasm.clone());
                wall(|| Ok(block_on(runtime.compile(wasm))?))
            })
        },
        |times| {
            sum(times, || {
                wall(|| Ok(Component::from_binary(&engine, wasm)?))
            })
        },
    );
    table.row(criterion, "compile/hello", "bare compile", None, rounds);
    Ok(())
}

/// From bytes to a program that an earlier process compiled.
fn cold(criterion: &mut Criterion, table: &mut Table) -> Outcome<()> {
    let wasm = &example_images::wasm("caller");
    let directory = &tempfile::tempdir()?.path().join("programs");
    let found = || {
        let cache = Cache::open(directory)?;
        let runtime = Runtime::builder().cache(cache).build()?;
        let wasm = wasm.clone();
        wall(|| Ok(block_on(runtime.compile(wasm))?))
    };
    found()?;
    let engine = bare::engine()?;
    let rounds = Rounds::new(
        |times| sum(times, found),
        |times| {
            sum(times, || {
                wall(|| Ok(Component::from_binary(&engine, wasm)?))
            })
        },
    );
    let goal = Some(1.0 / 200.0);
    table.row(criterion, "cold/disk cache", "bare compile", goal, rounds);
    Ok(())
}

/// From a program to the guest's first instruction.
fn first(criterion: &mut Criterion, table: &mut Table, runtime: &Runtime) -> Outcome<()> {
    let wasm = wat::parse_str(FIRST)?;
    let peer = &Bare::clocked(&bare::engine()?, &wasm)?;
    let program = &block_on(runtime.compile(wasm))?;
    let rounds = Rounds::new(
        |times| {
            sum(times, || {
                cells::until_asked(Builder::new().program(program.clone()))
            })
        },
        |times| sum(times, || peer.until_asked()),
    );
    table.row(criterion, "first/driver", "bare start", Some(1.3), rounds);
    Ok(())
}

/// A guest that prints a line.
fn hello(criterion: &mut Criterion, table: &mut Table, runtime: &Runtime) -> Outcome<()> {
    let wasm = example_images::wasm("hello");
    let peer = &Bare::wasi(&bare::engine()?, &wasm)?;
    let program = &block_on(runtime.compile(wasm))?;
    lives(criterion, table, "hello", program, || peer.live());

    let path = &example_images::path("hello");
    let image = Rounds::new(
        |times| wall(|| repeat(times, || cells::spawned(cells::of_image(runtime, path)))),
        |times| wall(|| repeat(times, || peer.live())),
    );
    table.row(criterion, "hello/image", LIFE, None, image);
    Ok(())
}

/// A guest that speaks RPC: to the first line of its `main`, to its end where it
/// does nothing more, and to the answer of its first call to its host.
fn caller(criterion: &mut Criterion, table: &mut Table, runtime: &Runtime) -> Outcome<()> {
    let wasm = example_images::wasm("caller");
    let engine = &bare::engine()?;
    let peer = &Bare::mute(engine, &wasm)?;
    let program = &block_on(runtime.compile(wasm.clone()))?;
    let starting = || cells::starting(program, runtime);
    let begun = Rounds::new(
        |times| sum(times, || cells::until_asked(starting())),
        |times| sum(times, || peer.until_asked_with("start")),
    );
    table.row(criterion, "caller/main", "bare start", Some(1.3), begun);
    let life = Rounds::new(
        |times| cpu(|| repeat(times, || cells::driven(starting()))),
        |times| cpu(|| repeat(times, || peer.live_with("start"))),
    );
    table.row(criterion, "caller/driver", LIFE, Some(1.3), life);

    let peer = &Bare::dead(engine, &wasm)?;
    let rounds = Rounds::new(
        |times| {
            sum(times, || {
                cells::until_asked(cells::calling_once(program, runtime))
            })
        },
        |times| cpu(|| repeat(times, || peer.instantiate())),
    );
    let name = "caller/first call";
    table.row(criterion, name, "bare instantiate, drop", Some(5.0), rounds);
    Ok(())
}

/// Whole lives from a program, through a driver and through a worker.
fn lives(
    criterion: &mut Criterion,
    table: &mut Table,
    name: &str,
    program: &Program,
    peer: impl Fn() -> Outcome<()>,
) {
    let builder = || Builder::new().program(program.clone());
    let driven = Rounds::new(
        |times| cpu(|| repeat(times, || cells::driven(builder()))),
        |times| cpu(|| repeat(times, &peer)),
    );
    table.row(
        criterion,
        &format!("{name}/driver"),
        LIFE,
        Some(1.3),
        driven,
    );
    let spawned = Rounds::new(
        |times| wall(|| repeat(times, || cells::spawned(builder()))),
        |times| wall(|| repeat(times, &peer)),
    );
    table.row(criterion, &format!("{name}/spawn"), LIFE, None, spawned);
}

fn repeat(times: u64, mut work: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    (0..times).try_for_each(|_| work())
}

fn sum(times: u64, mut work: impl FnMut() -> Outcome<Duration>) -> Outcome<Duration> {
    (0..times).map(|_| work()).sum()
}
