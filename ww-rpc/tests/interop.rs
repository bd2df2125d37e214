//! Another implementation at the other end, where it is installed; see
//! `tests/interop/run`.

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// What the script exits with where pycapnp is missing.
const SKIPPED: i32 = 77;

#[test]
fn pycapnp_calls_us_and_we_call_pycapnp() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/run");
    let output = Command::new(script).output().expect("there is a bash");
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(SKIPPED) {
        // Not by `eprintln`, which is silent in a test that passes.
        let told = std::io::stderr().write_all(said.as_bytes());
        return told.expect("somebody listens");
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    // Four pairs on each of two transports, and the cell.
    assert_eq!(said.matches(" passed (").count(), 9, "{said}");
}
