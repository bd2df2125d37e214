//! The committed code is what the schemas say, in each crate of the examples that
//! has some.

use std::path::{Path, PathBuf};
use std::{fs, io::Write, process::Command};

/// Without the line that names the version of the `capnp` tool.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("generated file");
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("// capnp binary version:"))
        .collect()
}

fn schemas(here: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(here).expect("the crate's folder");
    let files = files.map(|file| file.expect("a file of it").path());
    files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "capnp")
        })
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
    let schemas = schemas(here);
    assert!(!schemas.is_empty(), "{} has no schema", here.display());
    for schema in schemas {
        let fresh = tempfile::tempdir().expect("temporary directory");
        capnpc::CompilerCommand::new()
            .src_prefix(here)
            .file(&schema)
            .output_path(fresh.path())
            .run()
            .expect("capnp compiles the schema");
        let name = schema.file_stem().expect("it has an extension");
        let name = format!("{}_capnp.rs", name.to_string_lossy());
        assert!(
            code(&fresh.path().join(&name)) == code(&here.join("src").join(&name)),
            "src/{name} is stale: see the crate's documentation"
        );
    }
}
