use bytes::Bytes;
use lru::LruCache;

/// What an entry takes beside its block, in bytes.
const ENTRY: usize = 160;

/// Blocks that were checked, by multihash; the one used longest ago goes first.
pub(super) struct Memory {
    blocks: LruCache<Box<[u8]>, Bytes>,
    held: usize,
    most: usize,
}

impl Memory {
    pub(super) fn new(most: usize) -> Self {
        Self {
            blocks: LruCache::unbounded(),
            held: 0,
            most,
        }
    }

    pub(super) fn find(&mut self, hash: &[u8]) -> Option<Bytes> {
        self.blocks.get(hash).cloned()
    }

    /// Keeps `block`, which must be alone in its allocation.
    pub(super) fn keep(&mut self, hash: &[u8], block: Bytes) {
        let weight = ENTRY + block.len();
        if weight > self.most {
            return;
        }
        self.held += weight;
        if let Some(old) = self.blocks.put(hash.into(), block) {
            self.held -= ENTRY + old.len();
        }
        while self.held > self.most {
            match self.blocks.pop_lru() {
                Some((_, old)) => self.held -= ENTRY + old.len(),
                None => break,
            }
        }
    }
}
