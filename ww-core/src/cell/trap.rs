use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};

use super::backtrace;
use super::limits::{Limit, Limits};
use crate::error::{Error, cause};
use crate::wasi;

/// Bytes of a trap's message that are kept: it may quote the guest.
const MESSAGE: usize = 1024;

/// What ended a guest that ran: its own exit, one of our own errors, a limit,
/// or a trap. `refused` is the last limit that refused it something, `panic` what
/// it said of a panic.
pub(super) fn ended(
    error: wasmtime::Error,
    limits: &Limits,
    refused: Option<Limit>,
    panic: Option<String>,
) -> Result<i32, Error> {
    if let Some(exit) = error.downcast_ref::<wasi::Exit>() {
        return Ok(exit.0);
    }
    if let Some(error) = error.downcast_ref::<Error>() {
        return Err(error.clone());
    }
    if let Some(limit) = exceeded(&error) {
        return Err(limits.exceeded(limit));
    }
    let trace = error.downcast_ref::<WasmBacktrace>();
    let mut message = error.root_cause().to_string();
    message.truncate(message.floor_char_boundary(MESSAGE));
    Err(Error::Trap {
        message,
        panic,
        backtrace: trace.map(backtrace::render).unwrap_or_default(),
        refused,
    })
}

/// What ended a guest before, or while, it was instantiated. `refused` is the
/// last limit that refused it something, and `growth` what was in the way where
/// something was last to grow.
pub(super) fn unstarted(
    error: wasmtime::Error,
    limits: &Limits,
    refused: Option<Limit>,
    growth: Option<Error>,
) -> Result<i32, Error> {
    // With a backtrace, it is the guest's own start function that failed.
    let ran = error.is::<Trap>() || error.is::<WasmBacktrace>() || error.is::<wasi::Exit>();
    if ran || error.is::<Error>() {
        return ended(error, limits, refused, None);
    }
    let exceeded = exceeded(&error).map(|limit| limits.exceeded(limit));
    let unknown = || Error::Instantiate(cause(error));
    Err(exceeded.or(growth).unwrap_or_else(unknown))
}

/// The limit that wasmtime, or a table of handles, found exceeded. Wasmtime
/// gives some of these no type, so what it says has to do.
fn exceeded(error: &wasmtime::Error) -> Option<Limit> {
    const SAID: [(&str, Limit); 4] = [
        ("store handle limit exceeded", Limit::Handles),
        ("limit exceeded: instance count", Limit::Instances),
        ("limit exceeded: memory count", Limit::Memories),
        ("limit exceeded: table count", Limit::Tables),
    ];
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Some(Limit::Handles);
    }
    let text = error.root_cause().to_string();
    let said = |(said, _): &&(&str, Limit)| text.contains(said);
    SAID.iter().find(said).map(|&(_, limit)| limit)
}
