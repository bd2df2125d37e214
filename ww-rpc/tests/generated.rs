//! The committed code is what the schemas say.

use std::io::Write;
use std::path::Path;
use std::process::Command;

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the example has a main of its own"
)]
#[path = "../examples/regenerate.rs"]
mod example;

/// Without the line that names the version of the `capnp` tool, which says
/// nothing about the code.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).expect("generated file");
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("// capnp binary version:"))
        .collect()
}

#[test]
fn committed_code_is_what_the_schemas_generate() {
    if Command::new("capnp").arg("--version").output().is_err() {
        // Past the capture of the test harness, so that it shows.
        let line = "SKIPPED committed_code_is_what_the_schemas_generate: no capnp tool\n";
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("stderr");
        return;
    }
    let fresh = tempfile::tempdir().expect("temporary directory");
    example::regenerate(fresh.path()).expect("capnp compiles the schemas");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = |directory: &Path| {
        let mut names: Vec<String> = std::fs::read_dir(directory)
            .expect("directory")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .into_string()
                    .expect("name")
            })
            .filter(|name| name.ends_with("_capnp.rs"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(fresh.path()), names(&committed));
    for name in names(&committed) {
        assert!(
            code(&fresh.path().join(&name)) == code(&committed.join(&name)),
            "src/{name} is stale: run `cargo run -p ww-rpc --example regenerate`"
        );
    }
}
