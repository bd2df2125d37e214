use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lru::LruCache;
use ww_loader::{Flights, Path};

use crate::tree::Hash;

/// Chunks that were verified, by their hash; the one used longest ago goes first.
/// Small reads would otherwise read and hash a whole chunk each, and those that go on
/// at a time the same one.
#[derive(Default)]
pub(crate) struct Chunks {
    kept: Mutex<Kept>,
    /// What is read. Not by hash: files that hold the same do not fail together.
    reads: Flights<Place, Read>,
}

/// A chunk of a file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Where the file stands in its layer.
    pub(crate) file: Path,
    /// Which of the file's chunks it is.
    pub(crate) index: u64,
    /// Whether it is kept once it was read.
    pub(crate) keep: bool,
}

/// A chunk, or none if what stands there has another hash.
pub(crate) type Read = Result<Option<Bytes>, Arc<ww_loader::Error>>;

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
    /// The chunk with this hash at this place: what is kept, or what `read` gives, which
    /// is polled for one of those who want it at a time.
    pub(crate) async fn read(
        self: &Arc<Self>,
        place: Place,
        hash: Hash,
        read: impl Future<Output = Read> + Send + 'static,
    ) -> Read {
        if let Some(bytes) = self.recall(&hash) {
            return Ok(Some(bytes));
        }
        let (chunks, keep) = (self.clone(), place.keep);
        let work = async move {
            // Whoever read it may just be done.
            if let Some(bytes) = chunks.recall(&hash) {
                return Ok(Some(bytes));
            }
            let read = read.await?;
            if let Some(bytes) = read.as_ref().filter(|_| keep) {
                chunks.keep(hash, bytes.clone());
            }
            Ok(read)
        };
        self.reads.join(place, work).await
    }

    fn recall(&self, hash: &Hash) -> Option<Bytes> {
        self.kept().chunks.get(hash).cloned()
    }

    fn keep(&self, hash: Hash, bytes: Bytes) {
        let mut kept = self.kept();
        kept.held += ENTRY + bytes.len();
        // Files that hold the same may have been read at a time.
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

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            chunks: LruCache::unbounded(),
            held: 0,
        }
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chunks")
    }
}
