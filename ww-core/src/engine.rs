use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::cell::Limits;
use crate::error::{Error, cause};

/// Stack of a cell's host calls and WASM frames together, in bytes.
const ASYNC_STACK: usize = 640 << 10;

/// The part of that stack that WASM frames may use, in bytes. What Wasmtime
/// gives by default: interpreters compiled to WASM need it, for a quarter of it
/// ends JavaScript in QuickJS at fewer than 200 nested calls.
const WASM_STACK: usize = 512 << 10;

/// Address space set aside for one linear memory, in bytes. All that a 32-bit
/// index reaches, so that the guard behind it stands in for bounds checks,
/// which takes a tenth off a call's time. A smaller one would need smaller page
/// tables.
const MEMORY_RESERVATION: u64 = 4 << 30;

/// Unmapped bytes behind a linear memory: the largest constant offset that
/// needs no check.
const MEMORY_GUARD: u64 = 32 << 20;

/// Most entries of a table in the pool.
const TABLE: usize = 100_000;

/// Linear memories, tables, and instances of core modules that each cell in
/// the pool may have. What a component with the usual adapters needs, and
/// some more; a component that needs more is allocated on demand.
const MEMORIES: u32 = 1;
const TABLES: u32 = 4;
const INSTANCES: u32 = 8;

/// Bytes of all linear memories in the pool together, and of all tables, that
/// stay resident when their cells have ended, so that the next ones find their
/// pages there.
const KEPT: usize = 64 << 20;

/// The engine of cells that are allocated when they start, as many as there
/// is room for.
pub(crate) fn on_demand(source_lines: bool) -> Result<Engine, Error> {
    engine(&config(source_lines))
}

/// The engine of the cells in a pool of `cells` places, with the same compile
/// settings.
pub(crate) fn pooled(cells: u32, source_lines: bool) -> Result<Engine, Error> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(cells)
        .total_core_instances(cells.saturating_mul(INSTANCES))
        .total_memories(cells.saturating_mul(MEMORIES))
        .total_tables(cells.saturating_mul(TABLES))
        .total_stacks(cells)
        .max_core_instances_per_component(INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(MEMORY_RESERVATION as usize)
        .table_elements(TABLE)
        // Both together: without the kernel's list of dirty pages, resetting
        // the kept ones costs more than it saves.
        .linear_memory_keep_resident(KEPT / cells.max(1) as usize)
        .table_keep_resident(KEPT / cells.saturating_mul(TABLES).max(1) as usize)
        .pagemap_scan(Enabled::Auto);
    engine(config(source_lines).allocation_strategy(pool))
}

/// Whether a cell with these limits can have in the pool all that they allow.
pub(crate) fn fits_pool(limits: &Limits) -> bool {
    limits.table_elements <= TABLE
}

fn engine(config: &Config) -> Result<Engine, Error> {
    Engine::new(config).map_err(|error| Error::Engine(cause(error)))
}

fn config(source_lines: bool) -> Config {
    let details = match source_lines {
        true => WasmBacktraceDetails::Enable,
        false => WasmBacktraceDetails::Disable,
    };
    let mut config = Config::new();
    config
        .async_stack_size(ASYNC_STACK)
        .max_wasm_stack(WASM_STACK)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_guard_size(MEMORY_GUARD)
        .epoch_interruption(true)
        // Its default would be to ask the environment.
        .wasm_backtrace_details(details)
        // Component-model async is not offered; with its bookkeeping on, every
        // host call costs more than twice as much.
        .concurrency_support(false)
        // A third of a program's load, and nothing of ours looks at either:
        // where in the component an instruction came from matters for lines
        // alone, and Wasmtime unwinds without native tables.
        .generate_address_map(source_lines)
        .native_unwind_info(false);
    config
}
