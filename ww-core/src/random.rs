//! Randomness as cells see it, from a source that can be replaced.

use std::fmt;
use std::io;

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
}

impl<R: Random + ?Sized> Random for Box<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        (**self).fill(bytes)
    }
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Random for System {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::from)
    }
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
}
