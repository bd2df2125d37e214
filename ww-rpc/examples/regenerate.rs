//! Writes `ww-rpc/src/*_capnp.rs` anew from `capnp/`. Needs the `capnp` tool;
//! an argument names another output directory.

use std::path::{Path, PathBuf};

fn main() -> capnp::Result<()> {
    let output = std::env::args_os().nth(1).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        PathBuf::from,
    );
    regenerate(&output)
}

/// Writes the code of every schema into the directory `output`.
pub fn regenerate(output: &Path) -> capnp::Result<()> {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("capnp");
    let mut command = capnpc::CompilerCommand::new();
    command
        .src_prefix(&schemas)
        .import_path(&schemas)
        .output_path(output);
    for name in ["stem", "membrane", "peer", "cell"] {
        command.file(schemas.join(name).with_extension("capnp"));
    }
    command.run()
}
