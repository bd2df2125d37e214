//! The examples whose guests serve say what they should.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

fn said_by(example: &str) -> String {
    let output = Command::new(example).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_calculator_serves_its_host_and_another_cell() {
    assert_eq!(
        said_by(env!("CARGO_BIN_EXE_calculator")),
        "(2 + 3) * 4 = 20\n1² + 2² + 3² = 14\n"
    );
}

#[test]
fn a_server_waits_for_tokio_on_threads_that_have_it() {
    let said = said_by(env!("CARGO_BIN_EXE_tokio-workers"));
    assert_eq!(said, "Welcome, cell, in time.\n");
}

#[test]
fn a_store_is_shared_by_cells_that_have_less_of_it() {
    let told = said_by(env!("CARGO_BIN_EXE_store"));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "Ann: greeting is hello now",
            "Ann: bob/hat is green now",
            "Ann: keys are bob/hat, greeting",
            "Bob: hat is green",
            "Bob: coat is red now",
        ]
    );
    assert!(lines[5].starts_with("Bob: refused: "), "{told}");
    assert!(lines[5].ends_with("no key greeting"), "{told}");
    assert_eq!(
        lines[6..8],
        ["Bob: keys are coat, hat", "Cleo: bob/coat is red"]
    );
    assert!(lines[8].starts_with("Cleo: refused: "), "{told}");
    assert!(lines[8].ends_with("is not allowed"), "{told}");
    assert_eq!(lines[9], "Cleo: keys are bob/coat, bob/hat, greeting");
    assert!(lines[10].starts_with("Ann: refused: "), "{told}");
    assert!(lines[10].contains("staleEpoch"), "{told}");
    assert_eq!(lines.len(), 11, "{told}");
}
