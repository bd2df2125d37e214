//! Nothing takes more of the process's memory mappings than was set aside for
//! it. Alone in its file, because it counts those of the whole process.
#![cfg(target_os = "linux")]

use std::fs;
use std::future::Future;
use std::task::{Context, Waker};

use futures_lite::future::block_on;
use ww_core::cell::Builder;
use ww_core::{Error, Runtime};

/// Cells of each kind, each of another program.
const MANY: usize = 50;

/// What comes once only, of the runtime's and of malloc's. Far fewer than one a
/// cell.
const ELSE: usize = MANY / 4;

/// A command of its own for each `number`, which spins with as many `memories`
/// as said, each of them in use before, within and behind what its data covers.
fn command(number: usize, memories: usize) -> Vec<u8> {
    let mut modules = String::new();
    let (mut with, mut imports, mut calls) = (String::new(), String::new(), String::new());
    for index in 0..memories {
        modules += &format!(
            r#"(core module $m{index} (memory 8) (data (i32.const 0x20000) "{number}")
                 (func (export "touch")
                   (i32.store (i32.const 0) (i32.const 1))
                   (i32.store (i32.const 0x20000) (i32.const 1))
                   (i32.store (i32.const 0x60000) (i32.const 1))))
               (core instance $i{index} (instantiate $m{index}))"#
        );
        with += &format!(r#"(with "{index}" (instance $i{index}))"#);
        imports += &format!(r#"(import "{index}" "touch" (func $t{index}))"#);
        calls += &format!("(call $t{index})");
    }
    let text = format!(
        r#"(component
             {modules}
             (core module $main {imports}
               (func (export "run") (result i32) {calls} (loop (br 0)) unreachable))
             (core instance $main (instantiate $main {with}))
             (func $run (result (result)) (canon lift (core func $main "run")))
             (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).expect("it is well-formed")
}

/// Mappings that the process has.
fn mapped() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").expect("procfs is mounted");
    maps.lines().count()
}

/// Mappings that are set aside.
fn set_aside() -> usize {
    match Runtime::builder().cells(u32::MAX).build() {
        Err(Error::Full { taken, .. }) => taken,
        other => panic!("no process may have as many maps: {other:?}"),
    }
}

#[test]
fn what_cells_and_programs_take_was_set_aside() {
    block_on(async {
        // The first time, threads and their heaps come to be as well.
        for (memories, first) in [(1, true), (0, false), (1, false), (2, false), (16, false)] {
            let runtime = Runtime::builder().workers(1).cells(0).build();
            let runtime = runtime.expect("it starts");
            let (mapped_before, aside_before) = (mapped(), set_aside());
            let mut cells = Vec::new();
            for number in 0..MANY {
                let program = runtime.compile(command(number, memories)).await;
                let program = program.expect("it compiles");
                let (cell, start) = Builder::new()
                    .program(program)
                    .prepare()
                    .await
                    .expect("there is room");
                let mut driver = Box::pin(start.drive());
                let cx = &mut Context::from_waker(Waker::noop());
                assert!(driver.as_mut().poll(cx).is_pending());
                cells.push((cell, driver));
            }
            let took = mapped() - mapped_before;
            let aside = set_aside() - aside_before;
            assert!(
                first || took <= aside + ELSE,
                "{memories} memories: {took} of {aside}"
            );
        }
    });
}
