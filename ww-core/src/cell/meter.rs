use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ww_rpc::Traffic;

use super::limits::Limit;
use super::tally::Tally;

/// Bytes that take about as long to be moved as a message to be handled.
const BYTES_LIKE_A_MESSAGE: u64 = 16 << 10;

/// Capabilities that take about as long to be received as such a message.
const CAPABILITIES_LIKE_A_MESSAGE: u64 = 2;

/// What a cell has used until now, or until its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Time in which the guest's code, and host calls that it did not wait in,
    /// ran.
    pub busy: Duration,
    /// That time of all cells below this one.
    pub busy_below: Duration,
    /// How often an interruption tick found the guest running: it had gone on
    /// for a while without waiting for anything.
    pub interruptions: u64,
    /// Linear memories, tables and instances held now, in bytes.
    pub memory: usize,
    /// The same of all cells below this one together.
    pub memory_below: usize,
    /// The most of them held at any time, in bytes.
    pub peak_memory: usize,
    /// What the cell's scratch directories take now, in bytes.
    pub scratch: u64,
    /// The same of all cells below this one together.
    pub scratch_below: u64,
    /// Cells that run below this one now, at whatever depth.
    pub children: usize,
    /// Bytes that the guest has read from its standard input.
    pub stdio_in: u64,
    /// Bytes that the guest has written to its standard output and error.
    pub stdio_out: u64,
    /// Bytes of the RPC connection that the guest was sent.
    pub rpc_in: u64,
    /// Bytes of the RPC connection that the host has read from the guest.
    pub rpc_out: u64,
    /// RPC calls that the guest was sent.
    pub calls_in: u64,
    /// RPC calls that the host has read from the guest.
    pub calls_out: u64,
    /// The limit that was the last to refuse something: growth, scratch space,
    /// or the RPC connection. The guest was told and went on.
    pub refused: Option<Limit>,
    /// The limit of this cell's that was the last to refuse something to one below it.
    pub refused_below: Option<Limit>,
}

/// Counts what a cell uses. Read from any thread.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// In nanoseconds.
    pub(super) busy: Tally,
    pub(super) memory: Tally,
    pub(super) scratch: Tally,
    /// Children, and those below them.
    pub(super) cells: Tally,
    interruptions: AtomicU64,
    peak_memory: AtomicU64,
    stdio_in: AtomicU64,
    stdio_out: AtomicU64,
    /// From the side of the host. There once the connection is.
    rpc: OnceLock<Arc<Traffic>>,
    /// The code of the limit that refused last, or 0.
    refused: AtomicU8,
    /// The same, of what was refused to a cell below.
    refused_below: AtomicU8,
    /// A bit for the code of each limit that is in the log.
    logged: AtomicU32,
}

impl Meter {
    /// Where that is counted which `limit` bounds, for a cell with all those below it.
    ///
    /// # Panics
    ///
    /// For other limits.
    pub(super) fn tally(&self, limit: Limit) -> &Tally {
        match limit {
            Limit::Memory => &self.memory,
            Limit::Scratch => &self.scratch,
            Limit::Children => &self.cells,
            other => unreachable!("{other} is not counted so"),
        }
    }

    /// How long the guest ran, and all that are below it.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.busy.all())
    }

    pub(crate) fn interrupted(&self) {
        self.interruptions.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the memory held now may be more than ever, and says what the most of
    /// it was before.
    pub(super) fn peaked(&self) -> u64 {
        self.peak_memory
            .fetch_max(self.memory.own(), Ordering::Relaxed)
    }

    /// Takes back what the last [`peaked`](Self::peaked) noted.
    pub(super) fn did_not_peak(&self, peak: u64) {
        self.peak_memory.store(peak, Ordering::Relaxed);
    }

    /// Notes that the guest has read from its standard input.
    pub(crate) fn was_told(&self, bytes: usize) {
        self.stdio_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that the guest has written to its standard output or error.
    pub(crate) fn told(&self, bytes: usize) {
        self.stdio_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts what crosses the RPC connection. A cell has one.
    pub(crate) fn connected(&self, traffic: Arc<Traffic>) {
        let _ = self.rpc.set(traffic);
    }

    /// What the RPC connection has kept the host busy with, in messages of the
    /// guest's: so many bytes either way, in however few, count as one more, and so
    /// many capabilities.
    pub(crate) fn served(&self) -> u64 {
        self.rpc.get().map_or(0, |rpc| {
            let bytes = rpc.bytes_in() + rpc.bytes_out();
            let capabilities = rpc.capabilities_in() / CAPABILITIES_LIKE_A_MESSAGE;
            rpc.messages_in() + bytes / BYTES_LIKE_A_MESSAGE + capabilities
        })
    }

    /// The limit that the guest went beyond on its RPC connection.
    pub(crate) fn exceeded(&self) -> Option<ww_rpc::Limit> {
        self.rpc.get().and_then(|rpc| rpc.exceeded())
    }

    pub(crate) fn refuse(&self, limit: Limit) {
        self.refused.store(limit.code(), Ordering::Relaxed);
        let bit = 1 << limit.code();
        // A guest that asks again and again does not fill the log.
        if self.logged.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            tracing::debug!(%limit, "refused");
        }
    }

    /// Notes that a limit of this cell's refuses something to one below it, which is told.
    pub(crate) fn refuse_below(&self, limit: Limit) {
        self.refused_below.store(limit.code(), Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) -> Option<Limit> {
        Limit::of_code(self.refused.load(Ordering::Relaxed))
    }

    pub(crate) fn usage(&self) -> Usage {
        let rpc = |count: fn(&Traffic) -> u64| self.rpc.get().map_or(0, |rpc| count(rpc));
        let bytes = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Usage {
            busy: Duration::from_nanos(self.busy.own()),
            busy_below: Duration::from_nanos(self.busy.below()),
            interruptions: self.interruptions.load(Ordering::Relaxed),
            memory: bytes(self.memory.own()),
            memory_below: bytes(self.memory.below()),
            peak_memory: bytes(self.peak_memory.load(Ordering::Relaxed)),
            scratch: self.scratch.own(),
            scratch_below: self.scratch.below(),
            children: bytes(self.cells.all()),
            stdio_in: self.stdio_in.load(Ordering::Relaxed),
            stdio_out: self.stdio_out.load(Ordering::Relaxed),
            rpc_in: rpc(Traffic::bytes_out),
            rpc_out: rpc(Traffic::bytes_in),
            calls_in: rpc(Traffic::calls_out),
            calls_out: rpc(Traffic::calls_in),
            refused: self.refused(),
            refused_below: Limit::of_code(self.refused_below.load(Ordering::Relaxed)),
        }
    }
}
