//! A program takes few file descriptors. Alone in its file, because it counts
//! those of the whole process.
#![cfg(target_os = "linux")]

use std::fs;

use futures_lite::future::block_on;
use ww_core::Runtime;

#[test]
fn a_component_of_a_thousand_modules_opens_few_files() {
    let modules: String = (0..900)
        .map(|index| format!("(core module (memory 1) (data (i32.const 0) \"{index}\"))"))
        .collect();
    let text = format!(
        r#"(component
             {modules}
             (core module $main (func (export "run") (result i32) (i32.const 0)))
             (core instance $main (instantiate $main))
             (func $run (result (result)) (canon lift (core func $main "run")))
             (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    let wasm = wat::parse_str(text).expect("it is well-formed");
    let opened = || {
        fs::read_dir("/proc/self/fd")
            .expect("procfs is mounted")
            .count()
    };
    let runtime = Runtime::builder().workers(1).cells(2).build();
    let runtime = runtime.expect("it starts");
    let before = opened();
    let program = block_on(runtime.compile(wasm)).expect("it compiles");
    let after = opened();
    assert!(after < before + 16, "from {before} to {after}");
    drop(program);
}
