use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use sha2::{Digest, Sha256};
use wasmtime::component::Linker;

use crate::cell::State;
use crate::error::Error;
use crate::program::Compiled;

/// How many programs are remembered. The one used longest ago goes first; who
/// still holds it keeps it.
const KEPT: usize = 64;

/// Programs by the hash of their bytes, compiled or being compiled.
#[derive(Default)]
pub(crate) struct Programs {
    /// The one used last stands last.
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    hash: Hash,
    compiled: Compiling,
}

type Hash = [u8; 32];

type Compiling = Shared<BoxFuture<'static, Result<Arc<Compiled>, Error>>>;

impl Programs {
    pub(crate) async fn compile(
        &self,
        linker: &Arc<Linker<State>>,
        wasm: Bytes,
    ) -> Result<Arc<Compiled>, Error> {
        let (hash, wasm) =
            blocking::unblock(move || -> (Hash, Bytes) { (Sha256::digest(&wasm).into(), wasm) })
                .await;
        let compiled = self.find(hash, || {
            let linker = linker.clone();
            blocking::unblock(move || Compiled::new(&linker, &wasm).map(Arc::new))
                .boxed()
                .shared()
        });
        let result = compiled.await;
        if result.is_err() {
            self.entries().retain(|entry| entry.hash != hash);
        }
        result
    }

    fn find(&self, hash: Hash, compile: impl FnOnce() -> Compiling) -> Compiling {
        let mut entries = self.entries();
        let found = entries.iter().position(|entry| entry.hash == hash);
        let entry = match found {
            Some(index) => entries.remove(index),
            None => {
                if entries.len() == KEPT {
                    entries.remove(0);
                }
                Entry {
                    hash,
                    compiled: compile(),
                }
            }
        };
        let compiled = entry.compiled.clone();
        entries.push(entry);
        compiled
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
