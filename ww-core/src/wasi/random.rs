use std::sync::Arc;

use futures_lite::future::yield_now;

use super::Host;
use super::wit::random::{insecure, insecure_seed, random};
use crate::cell::{HANDED_OVER, Lent, Shared};
use crate::random::{Random, Seeded};

/// Most bytes that one call may ask for: as many as it may hand over. The interface
/// has no shorter answer and no error, so a guest that asks for more traps.
const MOST: u64 = HANDED_OVER as u64;

/// Bytes that are drawn at once: what is longer gives way in between, to the guest's
/// neighbours and to its end.
const PIECE: usize = 1 << 20;

/// The generator behind `wasi:random/insecure`, seeded when first used.
#[derive(Debug, Default)]
pub(super) struct Insecure(Option<Seeded>);

impl Host<'_> {
    fn random_u64(&mut self) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        self.wasi.setup.random.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn insecure(&mut self) -> wasmtime::Result<&mut Seeded> {
        let seed = match self.wasi.insecure.0 {
            Some(_) => 0,
            None => self.random_u64()?,
        };
        Ok(self
            .wasi
            .insecure
            .0
            .get_or_insert_with(|| Seeded::new(seed)))
    }
}

/// What is there while others have their turn counts as memory of `cell`.
async fn bytes(len: u64, source: &mut dyn Random, cell: &Arc<Shared>) -> wasmtime::Result<Vec<u8>> {
    if len > MOST {
        wasmtime::bail!("the guest asked for {len} random bytes at once, of at most {MOST}");
    }
    let len = len as usize;
    let _lent = match len > PIECE {
        true => Some(Lent::new(cell, len)?),
        false => None,
    };
    let mut bytes = vec![0; len];
    for (number, piece) in bytes.chunks_mut(PIECE).enumerate() {
        if number > 0 {
            yield_now().await;
        }
        source.fill(piece)?;
    }
    Ok(bytes)
}

impl random::Host for Host<'_> {
    async fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let setup = &mut self.wasi.setup;
        bytes(len, &mut setup.random, &setup.shared).await
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64()
    }
}

impl insecure::Host for Host<'_> {
    async fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let cell = Arc::clone(&self.wasi.setup.shared);
        bytes(len, self.insecure()?, &cell).await
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.insecure()?.next())
    }
}

impl insecure_seed::Host for Host<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.wasi.setup.random.insecure_seed()?.into())
    }
}
