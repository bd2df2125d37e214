//! Programs in a process that may open few files. Alone in its file, because it lowers
//! that for the whole process.
#![cfg(target_os = "linux")]

use std::fs;

use futures_lite::future::block_on;
use rustix::process::{Resource, getrlimit, setrlimit};
use ww_core::{Error, Program, Runtime};

/// Descriptors that the process may have, of which programs may have half.
const FEW: u64 = 64;
const PROGRAMS: usize = FEW as usize / 2;

/// A command of its own for each `number`.
fn command(number: usize) -> Vec<u8> {
    let text = format!(
        r#"(component
             (core module $m
               (memory 1)
               (data (i32.const 0) "{number}")
               (func (export "run") (result i32) (i32.const 0)))
             (core instance $i (instantiate $m))
             (func $run (result (result)) (canon lift (core func $i "run")))
             (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).expect("it is well-formed")
}

fn opened() -> usize {
    let open = fs::read_dir("/proc/self/fd");
    open.expect("procfs is mounted").count()
}

#[test]
fn programs_take_half_of_the_descriptors_and_those_that_nobody_holds_give_way() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(FEW);
    setrlimit(Resource::Nofile, limit).expect("it is lowered");
    let runtime = Runtime::builder().workers(1).cells(2).build();
    let runtime = runtime.expect("it starts");
    let compile = |number| block_on(runtime.compile(command(number)));

    let before = opened();
    let held: Result<Vec<Program>, Error> = (0..PROGRAMS).map(compile).collect();
    let mut held = held.expect("there are descriptors");
    let refused = compile(PROGRAMS).expect_err("there are no more");
    assert!(
        matches!(
            refused,
            Error::Full {
                taken: PROGRAMS,
                most: PROGRAMS,
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(
        refused.to_string().contains("file descriptors"),
        "{refused}"
    );
    held.pop();
    held.push(compile(PROGRAMS).expect("one was given back"));

    // Kept, until there is need.
    drop(held);
    for number in 0..4 * PROGRAMS {
        compile(number).expect("others give way");
    }
    assert!(opened() <= before + PROGRAMS, "{} after {before}", opened());
}
