use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_io::IoView;

use super::shared::Shared;
use crate::rpc::Connection;
use crate::wasi::{self, Host, Stdout, View, Wasi};

/// What a cell's host functions work on.
pub(crate) struct State {
    wasi: Wasi,
    table: ResourceTable,
    connection: Connection,
    bounds: Bounds,
}

/// Bounds on what a guest may take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Linear memories and tables of all the cell's modules together, in
    /// bytes. An entry of a table counts as a pointer.
    pub memory: usize,
    /// Entries of one table.
    pub table_elements: usize,
    /// Handles to host resources (streams, files, pollables) open at a time.
    pub handles: usize,
    /// Instances of core modules. A component that was composed of others, or
    /// links shared libraries, has many.
    pub instances: usize,
    /// Tables of all instances together.
    pub tables: usize,
    /// Linear memories of all instances together. Each takes several of the
    /// process's memory mappings, however small it is.
    pub memories: usize,
}

impl Default for Limits {
    /// 256 MiB of memory, 100,000 entries a table, 4,096 handles, 256
    /// instances, 64 tables, 16 linear memories.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 100_000,
            handles: 4096,
            instances: 256,
            tables: 64,
            memories: 16,
        }
    }
}

/// Refuses growth beyond the limits, and meters what is granted.
struct Bounds {
    limits: Limits,
    /// Bytes of linear memories and tables.
    memory: usize,
    /// Given back if the growth fails after it was granted.
    last: Grant,
    shared: Arc<Shared>,
}

/// A growth, as it was granted.
#[derive(Default)]
struct Grant {
    bytes: usize,
    /// The most memory held before.
    peak: usize,
}

impl State {
    pub(crate) fn new(
        wasi: Wasi,
        connection: Connection,
        limits: Limits,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            wasi,
            table: wasi::table(limits.handles),
            connection,
            bounds: Bounds {
                limits,
                memory: 0,
                last: Grant::default(),
                shared,
            },
        }
    }

    /// How many handles the guest may hold.
    pub(crate) fn handles(&self) -> usize {
        self.bounds.limits.handles
    }

    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The guest's output streams, by name.
    pub(crate) fn outputs(&self) -> [(&'static str, &Stdout); 2] {
        [
            ("stdout", self.wasi.stdout()),
            ("stderr", self.wasi.stderr()),
        ]
    }

    pub(crate) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.bounds
    }
}

impl IoView for State {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl View for State {
    fn wasi(&mut self) -> Host<'_> {
        Host {
            wasi: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl Bounds {
    fn grant(&mut self, bytes: usize) -> bool {
        self.last = Grant::default();
        if bytes > self.limits.memory.saturating_sub(self.memory) {
            return false;
        }
        let meter = &self.shared.meter;
        let peak = meter.peak_memory.load(Ordering::Relaxed);
        self.last = Grant { bytes, peak };
        self.memory += bytes;
        meter.grew(bytes);
        true
    }
}

/// A growth beyond what the guest itself declared as the maximum is refused
/// here, although wasmtime would refuse it later: nothing is charged for it.
impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(fits && self.grant(desired.saturating_sub(current)))
    }

    /// The system refused what was granted.
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        let Grant { bytes, peak } = std::mem::take(&mut self.last);
        if bytes > 0 {
            self.memory -= bytes;
            let meter = &self.shared.meter;
            meter.memory.fetch_sub(bytes, Ordering::Relaxed);
            meter.peak_memory.store(peak, Ordering::Relaxed);
        }
        Ok(())
    }

    // `table_grow_failed` never follows a grant: where the system refuses, the
    // guest traps.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let most = maximum
            .unwrap_or(usize::MAX)
            .min(self.limits.table_elements);
        let entries = desired.saturating_sub(current);
        Ok(desired <= most && self.grant(entries.saturating_mul(size_of::<usize>())))
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }
}
