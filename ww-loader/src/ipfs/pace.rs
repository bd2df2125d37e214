use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::yield_now;

/// Bytes of blocks that are gone through before others get their turn.
const TURN: usize = 1 << 20;

/// What a block or a name counts beside its bytes.
const EACH: usize = TURN / 256;

/// How much was done on blocks. Those in memory come without any waiting, so
/// whoever goes through many of them has to give way.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicUsize);

impl Pace {
    /// Counts one block, or name, and the `bytes` that were gone through for it.
    pub(super) async fn did(&self, bytes: usize) {
        let more = EACH + bytes;
        let before = self.0.fetch_add(more, Ordering::Relaxed);
        if before % TURN + more >= TURN {
            yield_now().await;
        }
    }
}
