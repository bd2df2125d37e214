use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_io::IoView;

use super::limits::{Limit, Limits};
use super::plain::plain;
use super::shared::Shared;
use crate::error::Error;
use crate::rpc::Connection;
use crate::wasi::{self, Host, Stdout, View, Wasi};

/// Characters of what a panic says that are kept.
const PANIC: usize = 4 << 10;

/// What a cell's host functions work on.
pub(crate) struct State {
    wasi: Wasi,
    table: ResourceTable,
    connection: Connection,
    bounds: Bounds,
    panic: Option<String>,
}

/// Refuses growth beyond the limits, and meters what is granted.
struct Bounds {
    limits: Limits,
    /// Bytes that instances take beside memories and tables.
    instances: usize,
    /// Given back if the growth fails after it was granted.
    last: Grant,
    /// What was in the way of the last growth.
    refused: Option<Error>,
    shared: Arc<Shared>,
}

/// A growth, as it was granted.
#[derive(Default)]
struct Grant {
    bytes: usize,
    /// The most memory held before.
    peak: u64,
}

impl State {
    /// `instances` is what they take beside memories and tables, in bytes.
    pub(crate) fn new(
        wasi: Wasi,
        connection: Connection,
        limits: Limits,
        instances: usize,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            wasi,
            table: wasi::table(limits.handles),
            connection,
            bounds: Bounds {
                limits,
                instances,
                last: Grant::default(),
                refused: None,
                shared,
            },
            panic: None,
        }
    }

    /// Takes note that instances are made now.
    ///
    /// # Errors
    ///
    /// [`Error::Limit`], if there is no memory for them.
    pub(crate) fn started(&mut self) -> Result<(), Error> {
        self.bounds.shared.grow(self.bounds.instances).map(drop)
    }

    /// Takes note of what the guest says of a panic: so much of it that it can
    /// stand in a line of a log.
    pub(crate) fn panicked(&mut self, message: &str) {
        self.panic = Some(plain(message, PANIC));
    }

    pub(crate) fn take_panic(&mut self) -> Option<String> {
        self.panic.take()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.bounds.limits
    }

    /// What was in the way where something was last to grow.
    pub(crate) fn take_refused(&mut self) -> Option<Error> {
        self.bounds.refused.take()
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
        match self.shared.grow(bytes) {
            Ok(peak) => {
                self.refused = None;
                self.last = Grant { bytes, peak };
                true
            }
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&mut self, error: Error) -> bool {
        self.last = Grant::default();
        self.refused = Some(error);
        false
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
        self.last = Grant::default();
        let fits = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(fits && self.grant(desired.saturating_sub(current)))
    }

    /// The system refused what was granted.
    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        let Grant { bytes, peak } = std::mem::take(&mut self.last);
        if bytes > 0 {
            self.shared.did_not_grow(bytes, peak);
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
        self.last = Grant::default();
        // First, because a table's maximum may as well be that of its place in
        // the pool.
        if desired > self.limits.table_elements {
            self.shared.meter.refuse(Limit::TableElements);
            return Ok(self.refuse(self.limits.exceeded(Limit::TableElements)));
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let entries = desired.saturating_sub(current);
        Ok(self.grant(entries.saturating_mul(size_of::<usize>())))
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
