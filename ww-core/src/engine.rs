use wasmtime::{Config, Engine};

use crate::error::{Error, cause};

/// Stack of a cell's host calls and WASM frames together, in bytes.
const ASYNC_STACK: usize = 256 << 10;

/// The part of that stack that WASM frames may use, in bytes.
const WASM_STACK: usize = 128 << 10;

/// Address space set aside for one linear memory, in bytes. As much as a cell
/// may have by default, so that memory does not move as it grows; far less
/// than the usual 4 GiB, so that page tables stay small with many cells.
const MEMORY_RESERVATION: u64 = 256 << 20;

/// Unmapped bytes behind a linear memory.
const MEMORY_GUARD: u64 = 64 << 10;

/// The engine that every program of a runtime is compiled for.
pub(crate) fn engine() -> Result<Engine, Error> {
    let mut config = Config::new();
    config
        .async_stack_size(ASYNC_STACK)
        .max_wasm_stack(WASM_STACK)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_guard_size(MEMORY_GUARD)
        .epoch_interruption(true)
        // Component-model async is not offered; with its bookkeeping on, every
        // host call costs more than twice as much.
        .concurrency_support(false);
    Engine::new(&config).map_err(|error| Error::Engine(cause(error)))
}
