//! Calls into and out of a cell beside calls between two native vats, and
//! streams of bytes as capabilities beside those of WASI.

use std::time::Duration;

use criterion::Criterion;
use futures_lite::future::block_on;
use ww_benches::calls::Shape;
use ww_benches::cells::Authority::{self, Executor, Membrane};
use ww_benches::streams::Way::{self, Capability, Raw};
use ww_benches::{Outcome, Rounds, Table, cells, native, streams};
use ww_core::{Program, Runtime};

const SHAPES: [(&str, Shape); 4] = [
    ("64 B, one at a time", shape(64, 1)),
    ("64 B, 64 in flight", shape(64, 64)),
    ("4 KiB, one at a time", shape(4096, 1)),
    ("4 KiB, 64 in flight", shape(4096, 64)),
];

/// Pours so many parts one way.
type Pour = fn(&Program, Way, u64) -> Outcome<Duration>;

/// An iteration is 64 KiB, whatever it takes to move them.
const POURS: [(&str, Pour); 3] = [
    ("guest to host", streams::out_of_guest),
    ("host to guest", streams::into_guest),
    ("guest to guest", streams::from_guest_to_guest),
];

const NATIVE: &str = "stock two-party";

fn main() -> Outcome<()> {
    let criterion = &mut Criterion::default().configure_from_args();
    let table = &mut Table::new();
    let runtime = &Runtime::new()?;
    let caller = &block_on(runtime.compile(example_images::wasm("caller")))?;
    let exporter = &block_on(runtime.compile(example_images::wasm("exporter")))?;
    let guest = |authority: Authority, shape| {
        move |calls| cells::guest_to_host(caller, runtime, authority, shape, calls)
    };
    let stock = |shape| move |calls| native::stock(runtime, shape, calls);

    for (text, shape) in SHAPES {
        let goal = if shape.bytes == 64 { 1.2 } else { 1.5 };
        let name = format!("guest to host/{text}");
        let rounds = Rounds::new(guest(Executor, shape), stock(shape));
        table.row(criterion, &name, NATIVE, Some(goal), rounds);
    }
    for (text, shape) in SHAPES {
        let name = format!("through a membrane/{text}");
        let rounds = Rounds::new(guest(Membrane, shape), guest(Executor, shape));
        table.row(criterion, &name, "without it", Some(1.3), rounds);
    }
    for (text, shape) in SHAPES {
        let name = format!("host to guest/{text}");
        let subject = move |calls| cells::host_to_guest(exporter, shape, calls);
        let rounds = Rounds::new(subject, stock(shape));
        table.row(criterion, &name, NATIVE, Some(1.3), rounds);
    }
    for (text, shape) in SHAPES {
        let name = format!("native vats/{text}");
        let subject = move |calls| native::ours(runtime, shape, calls);
        let rounds = Rounds::new(subject, stock(shape));
        table.row(criterion, &name, NATIVE, Some(0.85), rounds);
    }
    let pours = &block_on(runtime.compile(example_images::wasm("pours")))?;
    for (text, pour) in POURS {
        let name = format!("64 KiB by ByteStream/{text}");
        let rounds = Rounds::new(
            move |parts| pour(pours, Capability, parts),
            move |parts| pour(pours, Raw, parts),
        );
        table.row(criterion, &name, "raw wasi:io", Some(2.0), rounds);
    }

    let echoes = &block_on(runtime.compile(example_images::wasm("echoes")))?;
    let echo = |by| move |times| streams::echo(echoes, by, times);
    let rounds = Rounds::new(echo("sdk"), echo("wstd"));
    table.row(criterion, "64 B by stdin and stdout", "wstd", None, rounds);

    criterion.final_summary();
    table.print();
    Ok(())
}

const fn shape(bytes: usize, in_flight: usize) -> Shape {
    Shape { bytes, in_flight }
}
