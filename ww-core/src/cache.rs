//! Compiled programs on disk, so that a process need not compile what an
//! earlier one did.
//!
//! Machine code is as trusted as the program that runs it, so the directory
//! belongs to the process's user alone, and every entry carries a seal: a hash
//! under a key that stands in the same directory. An entry that is cut, old,
//! or was changed or put there by somebody else has no valid seal and counts as
//! not there.
//!
//! ```
//! use futures_lite::future::block_on;
//! use ww_core::Runtime;
//! use ww_core::cache::Cache;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let parent = tempfile::tempdir()?;
//! # let directory = parent.path().join("programs");
//! # let wasm = example_images::wasm("hello");
//! let runtime = Runtime::builder().cache(Cache::open(&directory)?).build()?;
//! block_on(runtime.compile(wasm))?;
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Engine;
use ww_loader::PrivateDir;

use crate::artifact::Artifact;
use crate::error::Error;

/// Bytes of entries that a cache keeps, if not told otherwise.
const MOST: u64 = 1 << 30;

/// The name of the file that the key stands in.
const KEY: &str = "key";

/// Bytes of a key, and of a seal.
const LEN: usize = blake3::OUT_LEN;

/// Changes with what an entry has, and with how components are weighed.
const LAYOUT: u8 = 1;

/// A directory with compiled programs.
pub struct Cache {
    path: PathBuf,
    directory: PrivateDir,
    key: [u8; LEN],
    most: u64,
    filler: Option<Box<Filler>>,
}

/// Whoever compiles in the place of the runtime.
pub(crate) type Filler = dyn Fn(&Bytes) -> io::Result<()> + Send + Sync;

/// Which entry a program has.
#[derive(Clone, Copy)]
pub(crate) struct Id(blake3::Hash);

/// Proof that a seal was checked. Only this module can make one.
pub(crate) struct Unbroken(());

impl Cache {
    /// A cache in the directory `path`, which is made, with its parents, where
    /// there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] when it cannot be made or read, does not belong to the
    /// process's user, or lets others in (its mode is not 0700).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let fault = |source| Error::Cache {
            path: path.to_owned(),
            source: Arc::new(source),
        };
        let directory = PrivateDir::open(path).map_err(fault)?;
        let key = key(&directory).map_err(fault)?;
        Ok(Self {
            path: path.to_owned(),
            directory,
            key,
            most: MOST,
            filler: None,
        })
    }

    /// Has `filler` compile the components whose programs are not there, and the
    /// runtime that is given this cache none.
    ///
    /// Some ten kilobytes can keep a compiler busy for minutes, whatever is weighed
    /// before, and no thread that compiles can be stopped. A process can:
    /// `filler` is to start one, bound what it takes, and wait for it. There,
    /// [`Runtime::compile`](crate::Runtime::compile) on a runtime with the same
    /// settings and with this directory opened once more puts the program here.
    /// `examples/elsewhere.rs` does so.
    ///
    /// It is called with the component where the runtime would compile it, on a
    /// thread that may block, for as many components at a time as there are
    /// processors. What it fails with, and a program that is not there after it,
    /// is [`Error::Compile`].
    #[must_use]
    pub fn filled_by(
        mut self,
        filler: impl Fn(&Bytes) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.filler = Some(Box::new(filler));
        self
    }

    /// Keeps `bytes` bytes of entries at most, 1 GiB if this is not said. What
    /// was used longest ago goes first.
    #[must_use]
    pub fn most(mut self, bytes: u64) -> Self {
        self.most = bytes;
        self
    }

    /// Which entry has the component with this BLAKE3 `hash`, compiled by
    /// `engine`.
    pub(crate) fn id(engine: &Engine, hash: &[u8; 32]) -> Id {
        let mut hasher = Digest(blake3::Hasher::new());
        // Version and settings of the compiler, and the processor's features.
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.update(&[LAYOUT]).update(hash);
        Id(hasher.0.finalize())
    }

    /// Who is to put here what is not, if that is not the runtime.
    pub(crate) fn filler(&self) -> Option<&Filler> {
        self.filler.as_deref()
    }

    /// The entry, where there is one with a valid seal: the component, and the
    /// bytes that its instances take. One without is removed.
    pub(crate) fn find(&self, id: Id) -> Option<(Artifact, usize)> {
        let name = id.name();
        let entry = Bytes::from(self.directory.read(&name, self.most)?);
        let found = entry.split_first_chunk().and_then(|(seal, sealed)| {
            let (instances, code) = sealed.split_first_chunk()?;
            let instances = usize::try_from(u64::from_le_bytes(*instances)).ok()?;
            (self.seal(id, instances, code) == *seal).then(|| (entry.slice_ref(code), instances))
        });
        if found.is_none() {
            self.directory.remove(&name);
        }
        // The seal was valid.
        found.map(|(code, instances)| (Artifact::sealed(Unbroken(()), code), instances))
    }

    /// Keeps `artifact`, and the bytes that its instances take, unless the directory
    /// does not take it: then a later process compiles again.
    pub(crate) fn keep(&self, id: Id, artifact: &Artifact, instances: usize) {
        let code = artifact.bytes();
        let seal = self.seal(id, instances, code);
        let entry = [seal.as_bytes(), &(instances as u64).to_le_bytes()[..], code];
        let room = entry.iter().map(|part| part.len() as u64).sum::<u64>() <= self.most;
        if room && self.directory.write(&id.name(), &entry).is_ok() {
            // Whatever is left too much goes another time.
            let _ = self.directory.trim(self.most, is_entry);
        }
    }

    /// Covers the id, so that no entry can stand in another's place.
    fn seal(&self, id: Id, instances: usize, code: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(id.0.as_bytes());
        hasher
            .update(&(instances as u64).to_le_bytes())
            .update(code);
        hasher.finalize()
    }
}

impl Id {
    fn name(self) -> String {
        self.0.to_hex().to_string()
    }
}

/// Whether a file is called as an entry is.
fn is_entry(name: &str) -> bool {
    let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.len() == 2 * LEN && name.bytes().all(digit)
}

/// The key of a directory, which is made up where there is none.
fn key(directory: &PrivateDir) -> io::Result<[u8; LEN]> {
    loop {
        match directory.file(KEY) {
            Ok(mut file) => {
                let mut key = [0; LEN];
                file.read_exact(&mut key).map_err(|error| {
                    let text = format!("its {KEY} is no secret ({error}); remove that file");
                    io::Error::new(error.kind(), text)
                })?;
                return Ok(key);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("its {KEY}: {error}");
                return Err(io::Error::new(error.kind(), text));
            }
        }
        let mut key = [0; LEN];
        getrandom::fill(&mut key)?;
        // Who comes second takes the first one's. After a crash there must not
        // be a key without its bytes, which nobody could mend but the user.
        directory.write_first(KEY, &key)?;
    }
}

/// Gives what is hashed to a digest that is the same in every process.
struct Digest(blake3::Hasher);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let [head @ .., _, _, _, _, _, _, _, _] = *self.0.finalize().as_bytes();
        head.first_chunk()
            .map_or(0, |chunk| u64::from_le_bytes(*chunk))
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        f.debug_struct("Cache")
            .field("path", &self.path)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
