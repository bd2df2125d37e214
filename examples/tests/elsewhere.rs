//! What is compiled in a process of its own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs this component, with an empty cache.
fn run(component: &[u8]) -> Output {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("main.wasm");
    std::fs::write(&file, component).unwrap();
    Command::new(env!("CARGO_BIN_EXE_elsewhere"))
        .arg(file)
        .env("TMPDIR", directory.path())
        .output()
        .unwrap()
}

#[test]
fn a_component_is_compiled_in_another_process_and_runs_here() {
    let output = run(&example_images::wasm("hello"));
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(said.ends_with("it exited with 0\n"), "{said}{errors}");
}

#[test]
fn a_compiler_that_takes_too_long_ends_alone() {
    // A thousand values that twice as many branches carry on: a fifth of that takes
    // the compiler as long as it is given to find registers for.
    let locals = "i32 ".repeat(1000);
    let branches = "(br_if 0 (local.get 0))".repeat(1000);
    let sets: String = (1..=1000)
        .map(|local| format!("(local.set {local} (i32.const {local}))"))
        .collect();
    let gets: String = (1..=1000)
        .map(|local| format!("(global.set 0 (local.get {local}))"))
        .collect();
    let component = wat::parse_str(format!(
        r#"(component
            (core module (global (mut i32) (i32.const 0))
                (func (param i32) (local {locals})
                    block {branches} {sets} {branches} end {gets})))"#
    ));
    let output = run(&component.unwrap());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("its compiler ended with signal"),
        "{errors}"
    );
}
