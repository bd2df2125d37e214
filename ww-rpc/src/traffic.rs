use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::Limit;

/// What has crossed a connection until now. Read from any thread, while the
/// connection lives and after.
#[derive(Debug, Default)]
pub struct Traffic {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    messages_in: AtomicU64,
    capabilities_in: AtomicU64,
    calls_in: AtomicU64,
    calls_out: AtomicU64,
    /// The number of the limit that the peer went beyond, counted from 1, or 0.
    exceeded: AtomicU8,
}

impl Traffic {
    /// Bytes read from the peer.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes written to the peer.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Messages read from the peer, of whatever kind.
    pub fn messages_in(&self) -> u64 {
        self.messages_in.load(Ordering::Relaxed)
    }

    /// Capabilities of the peer's calls and answers, however often each was sent.
    pub fn capabilities_in(&self) -> u64 {
        self.capabilities_in.load(Ordering::Relaxed)
    }

    /// Calls of the peer's, those included that a limit has refused.
    pub fn calls_in(&self) -> u64 {
        self.calls_in.load(Ordering::Relaxed)
    }

    /// Calls made to the peer.
    pub fn calls_out(&self) -> u64 {
        self.calls_out.load(Ordering::Relaxed)
    }

    /// The limit that the peer went beyond, which ended the connection.
    pub fn exceeded(&self) -> Option<Limit> {
        let index = usize::from(self.exceeded.load(Ordering::Relaxed)).checked_sub(1)?;
        Limit::ALL.get(index).copied()
    }

    pub(crate) fn went_beyond(&self, limit: Limit) {
        // The first has ended it.
        if self.exceeded().is_none() {
            self.exceeded.store(limit as u8 + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        add(&self.bytes_in, bytes as u64);
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        add(&self.bytes_out, bytes as u64);
    }

    pub(crate) fn heard(&self) {
        add(&self.messages_in, 1);
    }

    pub(crate) fn was_handed(&self, capabilities: usize) {
        add(&self.capabilities_in, capabilities as u64);
    }

    pub(crate) fn was_called(&self) {
        add(&self.calls_in, 1);
    }

    pub(crate) fn called(&self) {
        add(&self.calls_out, 1);
    }
}

/// Nobody counts but the vat, so nothing is lost between the two halves, of which
/// neither holds up the processor as one atomic step would.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}
