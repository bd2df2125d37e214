//! Where a component finds its RPC connection: `wetware:streams`, and the
//! private `wetware:turn` that does the same in fewer host calls.

mod connection;
mod streams;
mod turn;

pub(crate) use connection::Connection;

use wasmtime::component::Linker;

use crate::cell::State;

/// Interfaces that give a component its connection, up to the patch version.
const INTERFACES: [&str; 2] = ["wetware:streams/streams@0.1.", "wetware:turn/turn@0.1."];

/// Whether `import` names one of these interfaces.
pub(crate) fn offers(import: &str) -> bool {
    INTERFACES.iter().any(|name| import.starts_with(name))
}

pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    streams::add_to_linker(linker)?;
    turn::add_to_linker(linker)
}
