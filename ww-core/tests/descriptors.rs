//! A program takes few file descriptors. Alone in its file, because it counts
//! those of the whole process.
#![cfg(target_os = "linux")]

use std::fs;

use futures_lite::future::block_on;
use ww_core::Runtime;

/// A component of so many modules with data, unlike that of any other `name`.
fn component(name: &str, modules: usize) -> Vec<u8> {
    let modules: String = (0..modules)
        .map(|index| format!("(core module (memory 1) (data (i32.const 0) \"{name} {index}\"))"))
        .collect();
    let text = format!(
        r#"(component
             {modules}
             (core module $main (func (export "run") (result i32) (i32.const 0)))
             (core instance $main (instantiate $main))
             (func $run (result (result)) (canon lift (core func $main "run")))
             (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).expect("it is well-formed")
}

fn opened() -> usize {
    let open = fs::read_dir("/proc/self/fd");
    open.expect("procfs is mounted").count()
}

#[test]
fn programs_of_many_modules_keep_few_files_open() {
    let runtime = Runtime::builder().workers(1).cells(2).build();
    let runtime = runtime.expect("it starts");
    let before = opened();
    let program = block_on(runtime.compile(component("large", 900))).expect("it compiles");
    let after = opened();
    assert!(after < before + 16, "from {before} to {after}");
    drop(program);
    // One each, and not one a module.
    for number in 0..40 {
        let wasm = component(&format!("number {number}"), 14);
        block_on(runtime.compile(wasm)).expect("it compiles");
    }
    let after = opened();
    assert!(after < before + 50, "from {before} to {after}");
}
