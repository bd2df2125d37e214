//! The committed code is what the schema says.

use std::path::Path;
use std::{fs, io::Write, process::Command};

/// Without the line that names the version of the `capnp` tool.
fn code(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("greeting_capnp.rs")).expect("generated file");
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("// capnp binary version:"))
        .collect()
}

#[test]
fn committed_code_is_what_the_schema_generates() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if Command::new("capnp").arg("--version").output().is_err() {
        // Past the capture of the test harness, so that it shows.
        let line = b"SKIPPED committed_code_is_what_the_schema_generates: no capnp tool\n";
        std::io::stderr().write_all(line).expect("stderr");
        return;
    }
    let fresh = tempfile::tempdir().expect("temporary directory");
    capnpc::CompilerCommand::new()
        .src_prefix(here)
        .file(here.join("greeting.capnp"))
        .output_path(fresh.path())
        .run()
        .expect("capnp compiles the schema");
    assert!(
        code(fresh.path()) == code(&here.join("src")),
        "src/greeting_capnp.rs is stale: see the crate's documentation"
    );
}
