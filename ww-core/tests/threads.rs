//! A cell in a process that may have no more threads. Alone in its file, because
//! it takes them from the whole process.
#![cfg(target_os = "linux")]

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use futures_lite::future::block_on;
use rustix::process::{Resource, Rlimit, getuid, setrlimit};
use ww_core::cell::Builder;
use ww_core::{Error, Runtime};

/// Set in the process that the test is run in.
const INSIDE: &str = "WW_TEST_WITHOUT_THREADS";

/// Whom a limit of threads binds: not root.
const NOBODY: u32 = 65534;

/// The test itself, whose path may lead through directories of root's alone.
const ITSELF: &str = "/proc/self/exe";

/// Computes for ever.
const SPINS: &str = r#"(component
    (core module $m
        (func (export "run") (result i32) (loop $again (br $again)) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#;

#[test]
fn a_guest_that_nothing_can_interrupt_does_not_start() {
    if env::var_os(INSIDE).is_some() {
        return inside();
    }
    let mut test = Command::new(ITSELF);
    test.env(INSIDE, "1");
    if getuid().is_root() {
        test.uid(NOBODY);
    }
    let status = test.status().expect("everyone may run the test's file");
    assert!(status.success(), "{status}");
}

fn inside() {
    let runtime = Runtime::new().expect("a runtime");
    let program = wat::parse_str(SPINS).expect("this is a component");
    let program = block_on(runtime.compile(program)).expect("it compiles");
    let (cell, start) = block_on(Builder::new().program(program).prepare()).expect("it is ready");
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Nproc, none).expect("one may have less");
    block_on(start.drive());
    match block_on(cell.wait()) {
        Err(Error::Engine(_)) => {}
        other => panic!("{other:?}"),
    }
}
