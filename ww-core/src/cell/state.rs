use std::sync::Arc;

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
    /// Linear memory of all the cell's modules together, in bytes.
    pub memory: usize,
    /// Entries of one table.
    pub table_elements: usize,
    /// Handles to host resources (streams, files, pollables) open at a time.
    pub handles: usize,
}

impl Default for Limits {
    /// 256 MiB of memory, 100,000 entries a table, 4,096 handles.
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 100_000,
            handles: 4096,
        }
    }
}

/// Refuses growth beyond the limits, and meters what is granted.
struct Bounds {
    limits: Limits,
    memory: usize,
    shared: Arc<Shared>,
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
                shared,
            },
        }
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

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        if more > self.limits.memory.saturating_sub(self.memory) {
            return Ok(false);
        }
        self.memory += more;
        self.shared.meter.grew(more);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.limits.table_elements)
    }
}
