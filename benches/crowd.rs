//! Many idle cells in one process, beside as many parked instances of bare
//! wasmtime: what one of them costs in memory, in time to start and in time to
//! call, and how that grows with their number.
//!
//! Each row is measured by processes of its own, since what one crowd has used
//! stays with the process for the next one.

#![allow(
    clippy::print_stdout,
    reason = "the table is what the bench was run for"
)]

use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use futures_lite::future::block_on;
use ww_benches::Outcome;
use ww_benches::bare::{self, Bare};
use ww_benches::calls::{self, Shape};
use ww_core::cell::{Builder, Cell, Input};
use ww_core::{Program, Runtime};
use ww_rpc::peer_capnp::executor;

/// How many there are at a time.
const CROWDS: [usize; 3] = [1, 100, 10_000];

/// Processes that measure a row, each side.
const TIMES: usize = 3;

/// What the bench calls itself with.
const MEMBER: &str = "--crowd";

/// What one of a crowd costs.
#[derive(Clone, Copy)]
struct Cost {
    /// Resident bytes, once it waits.
    memory: f64,
    /// Nanoseconds until it waits.
    start: f64,
    /// Nanoseconds that a call to it takes while all are there. The bare one
    /// cannot be called.
    call: f64,
}

fn main() -> Outcome<()> {
    let args: Vec<_> = env::args().skip(1).collect();
    if let [member, side, count] = &args[..]
        && member == MEMBER
    {
        let count = count.parse()?;
        let cost = match side.as_str() {
            "ours" => ours(count)?,
            _ => bare(count)?,
        };
        println!("{} {} {}", cost.memory, cost.start, cost.call);
        return Ok(());
    }
    // A filter of another bench's.
    if args
        .iter()
        .any(|arg| !arg.starts_with('-') && !"crowd".contains(arg.as_str()))
    {
        return Ok(());
    }
    let crowds = if args.iter().any(|arg| arg == "--test") {
        &CROWDS[..2]
    } else {
        &CROWDS
    };
    println!("\n| cells | memory of one | bare | ratio | start of one | bare | ratio | call |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for &count in crowds {
        row(count)?;
    }
    Ok(())
}

/// Measures both sides in turns.
fn row(count: usize) -> Outcome<()> {
    let mut rounds = Vec::new();
    for _ in 0..TIMES {
        rounds.push((member("ours", count)?, member("bare", count)?));
    }
    let median = |value: &dyn Fn(&(Cost, Cost)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "| {count} | {:.0} KiB | {:.0} KiB | {:.2} | {:.0} µs | {:.0} µs | {:.2} | {:.0} µs |",
        median(&|(ours, _)| ours.memory / 1024.0),
        median(&|(_, bare)| bare.memory / 1024.0),
        median(&|(ours, bare)| ours.memory / bare.memory),
        median(&|(ours, _)| ours.start / 1e3),
        median(&|(_, bare)| bare.start / 1e3),
        median(&|(ours, bare)| ours.start / bare.start),
        median(&|(ours, _)| ours.call / 1e3),
    );
    Ok(())
}

/// A process that measures one crowd.
fn member(side: &str, count: usize) -> Outcome<Cost> {
    let mut command = Command::new(env::current_exe()?);
    let output = command.args([MEMBER, side, &count.to_string()]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let figures: Vec<f64> = text.split_whitespace().flat_map(str::parse).collect();
    match figures[..] {
        [memory, start, call] => Ok(Cost {
            memory,
            start,
            call,
        }),
        _ => Err(format!("{side}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

fn ours(count: usize) -> Outcome<Cost> {
    let runtime = Runtime::builder().workers(1).cells(pool(count)).build()?;
    block_on(async {
        let program = runtime.compile(example_images::wasm("exporter")).await?;
        let warm = waiting(&program).await?;
        call(&warm).await?;
        drop(warm.take_stdin());
        warm.wait().await?;

        let mut cells = Vec::with_capacity(count);
        let (before, began) = (resident()?, Instant::now());
        for _ in 0..count {
            cells.push(waiting(&program).await?);
        }
        let (start, memory) = (began.elapsed(), resident()? - before);
        let began = Instant::now();
        for cell in &cells {
            call(cell).await?;
        }
        Ok(cost(count, memory, start, began.elapsed()))
    })
}

fn bare(count: usize) -> Outcome<Cost> {
    let engine = wasmtime::Engine::new(&bare::config(pool(count)))?;
    let component = Bare::mute(&engine, &example_images::wasm("exporter"))?;
    drop(component.park()?);
    let mut parked = Vec::with_capacity(count);
    let (before, began) = (resident()?, Instant::now());
    for _ in 0..count {
        parked.push(component.park()?);
    }
    let (start, memory) = (began.elapsed(), resident()? - before);
    Ok(cost(count, memory, start, Duration::ZERO))
}

/// A cell that has exported something and waits for calls.
async fn waiting(program: &Program) -> Outcome<Cell> {
    let builder = Builder::new().program(program.clone());
    let cell = builder.stdin(Input::piped()).spawn().await?;
    // Its guest has its first turn between the two.
    cell.with(async |_| Ok(())).await?;
    cell.with(async |_| Ok(())).await?;
    Ok(cell)
}

async fn call(cell: &Cell) -> Outcome<()> {
    let shape = Shape {
        bytes: 64,
        in_flight: 1,
    };
    let called = cell.with(move |local| async move {
        let exported: executor::Client = local.exported();
        Ok(calls::make(&exported, shape, 0).await?)
    });
    called.await?;
    Ok(())
}

/// Places for a crowd, and the one that came before it.
fn pool(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn cost(count: usize, memory: f64, start: Duration, call: Duration) -> Cost {
    let each = |took: Duration| took.as_nanos() as f64 / count as f64;
    Cost {
        memory: memory / count as f64,
        start: each(start),
        call: each(call),
    }
}

/// Bytes of this process that are in memory.
fn resident() -> Outcome<f64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = statm.split(' ').nth(1).ok_or("no pages")?.parse()?;
    Ok(pages * 4096.0)
}
