//! The committed code is what the schemas say.

use std::path::Path;
use std::{fs, io::Write, process::Command};

/// Without the line that names the version of the `capnp` tool.
fn code(directory: &Path, name: &str) -> String {
    let path = directory.join(format!("{name}_capnp.rs"));
    let text = fs::read_to_string(path).expect("generated file");
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("// capnp binary version:"))
        .collect()
}

#[test]
fn committed_code_is_what_the_schemas_generate() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if Command::new("capnp").arg("--version").output().is_err() {
        // Past the capture of the test harness, so that it shows.
        let line = b"SKIPPED committed_code_is_what_the_schemas_generate: no capnp tool\n";
        std::io::stderr().write_all(line).expect("stderr");
        return;
    }
    let fresh = tempfile::tempdir().expect("temporary directory");
    for name in ["calculator", "store"] {
        capnpc::CompilerCommand::new()
            .src_prefix(here)
            .file(here.join(format!("{name}.capnp")))
            .output_path(fresh.path())
            .run()
            .expect("capnp compiles the schema");
        assert!(
            code(fresh.path(), name) == code(&here.join("src"), name),
            "src/{name}_capnp.rs is stale: see the crate's documentation"
        );
    }
}
