//! Writes `ww-rpc/src/*_capnp.rs` anew from `capnp/`. Needs the `capnp` tool;
//! an argument names another output directory.

use std::path::{Path, PathBuf};

fn main() -> capnp::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::env::args_os()
        .nth(1)
        .map_or_else(|| root.join("src"), PathBuf::from);
    let schemas = root.join("capnp");
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
