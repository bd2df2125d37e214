//! Randomness as cells see it, from a source that can be replaced.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// A source of random bytes.
///
/// - [`fill`](Random::fill) overwrites every byte, or fails.
/// - What it gives a cell is as hard to guess as the host needs it to be:
///   guests make keys of it.
pub trait Random: Send + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// The source has failed; the guest that asked traps.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()>;

    /// What a guest's hash tables are seeded with (`wasi:random/insecure-seed`):
    /// hard to guess for whoever fills those tables, but no secret. Nearly every
    /// guest asks once, when it starts.
    ///
    /// # Errors
    ///
    /// As of [`fill`](Self::fill), from which it comes unless the source has
    /// something cheaper.
    fn insecure_seed(&mut self) -> io::Result<[u64; 2]> {
        let mut halves = [[0; 8]; 2];
        self.fill(halves.as_flattened_mut())?;
        Ok(halves.map(u64::from_le_bytes))
    }
}

impl<R: Random + ?Sized> Random for Box<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        (**self).fill(bytes)
    }

    fn insecure_seed(&mut self) -> io::Result<[u64; 2]> {
        (**self).insecure_seed()
    }
}

/// A source that several cells draw from, each when it asks.
#[derive(Clone)]
pub(crate) struct Common(Arc<Mutex<dyn Random>>);

impl Common {
    pub(crate) fn new(random: impl Random) -> Self {
        Self(Arc::new(Mutex::new(random)))
    }
}

impl Random for Common {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        random.fill(bytes)
    }

    fn insecure_seed(&mut self) -> io::Result<[u64; 2]> {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        random.insecure_seed()
    }
}

/// The operating system's generator. Seeds for hash tables are a keyed hash
/// (BLAKE3) of their number, by a key that each thread draws once, rather than half a
/// microsecond of system call each.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Random for System {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::from)
    }

    fn insecure_seed(&mut self) -> io::Result<[u64; 2]> {
        SEEDS.with_borrow_mut(|seeds| {
            let (key, drawn) = match seeds {
                Some(seeds) => seeds,
                None => {
                    let mut key = [0; 32];
                    self.fill(&mut key)?;
                    seeds.insert((key, 0))
                }
            };
            *drawn += 1;
            let hash = blake3::keyed_hash(key, &drawn.to_le_bytes());
            let (halves, _) = hash.as_bytes().as_chunks();
            Ok([halves[0], halves[1]].map(u64::from_le_bytes))
        })
    }
}

thread_local! {
    /// The key of this thread's seeds, and how many were drawn.
    static SEEDS: RefCell<Option<([u8; 32], u64)>> = const { RefCell::new(None) };
}

/// The same bytes for the same seed, for runs that can be repeated.
///
/// Not for secrets: who knows a few of its bytes knows the rest (SplitMix64).
#[derive(Clone)]
pub struct Seeded {
    state: u64,
}

impl Seeded {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seeded").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_gives_its_sequence_and_no_other() {
        let draw = |mut source: Box<dyn Random>| {
            let mut bytes = [0; 21];
            source.fill(&mut bytes).expect("the source works");
            bytes
        };
        assert_eq!(
            draw(Box::new(Seeded::new(7))),
            draw(Box::new(Seeded::new(7)))
        );
        assert_ne!(
            draw(Box::new(Seeded::new(7))),
            draw(Box::new(Seeded::new(8)))
        );
        assert_ne!(draw(Box::new(System)), draw(Box::new(System)));
        // The first output of SplitMix64 from zero, as its authors publish it.
        assert_eq!(Seeded::new(0).next(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn seeds_of_hash_tables_are_those_of_the_source_and_no_two_of_the_systems_are_alike() {
        let seed = |mut source: Box<dyn Random>| source.insecure_seed().expect("it works");
        let mut seven = Seeded::new(7);
        let expected = [seven.next(), seven.next()];
        assert_eq!(seed(Box::new(Seeded::new(7))), expected);
        let drawn = || std::thread::spawn(move || [(); 50].map(|()| seed(Box::new(System))));
        let threads = [drawn(), drawn()].map(|thread| thread.join().expect("it draws"));
        let halves: HashSet<u64> = threads.into_iter().flatten().flatten().collect();
        assert_eq!(halves.len(), 200);
    }
}
