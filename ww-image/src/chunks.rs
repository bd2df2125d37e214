use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use lru::LruCache;

use crate::tree::Hash;

/// Chunks that were verified, by their hash; the one used longest ago goes first.
/// Small reads would otherwise read and hash a whole chunk each.
pub(crate) struct Chunks(Mutex<Kept>);

struct Kept {
    chunks: LruCache<Hash, Bytes>,
    held: usize,
}

/// Bytes that all cells of an image have kept together: a chunk of a mebibyte for each
/// of some thirty files that are read a little at a time, as the eight reads of each of
/// four cells do.
const MOST: usize = 32 << 20;

/// What an entry takes beside its chunk, in bytes.
const ENTRY: usize = 128;

impl Chunks {
    pub(crate) fn recall(&self, hash: &Hash) -> Option<Bytes> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.chunks.get(hash).cloned()
    }

    pub(crate) fn keep(&self, hash: Hash, bytes: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.held += ENTRY + bytes.len();
        // Several may have read it at a time.
        if let Some(same) = kept.chunks.put(hash, bytes) {
            kept.held -= ENTRY + same.len();
        }
        while kept.held > MOST {
            match kept.chunks.pop_lru() {
                Some((_, old)) => kept.held -= ENTRY + old.len(),
                None => break,
            }
        }
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            chunks: LruCache::unbounded(),
            held: 0,
        }))
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chunks")
    }
}
