use super::Host;
use super::wit::random::{insecure, insecure_seed, random};
use crate::random::{Random, Seeded};

/// Most bytes that one call may ask for. The interface has no shorter answer
/// and no error, so a guest that asks for more traps. It bounds how long the
/// call keeps the guest's neighbours waiting.
const MOST: u64 = 1 << 20;

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

fn bytes(len: u64, source: &mut dyn Random) -> wasmtime::Result<Vec<u8>> {
    if len > MOST {
        wasmtime::bail!("the guest asked for {len} random bytes at once, of at most {MOST}");
    }
    let mut bytes = vec![0; len as usize];
    source.fill(&mut bytes)?;
    Ok(bytes)
}

impl random::Host for Host<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(len, &mut self.wasi.setup.random)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64()
    }
}

impl insecure::Host for Host<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        bytes(len, self.insecure()?)
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
