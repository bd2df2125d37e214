use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::artifact::Artifact;
use crate::cache::{Cache, Id};
use crate::error::{Error, cause, panic_text};
use crate::footing::Footing;
use crate::phase::{Observer, Phase, Progress};
use crate::program::Compiled;
use crate::queue::Queue;
use crate::tier::Tiers;

#[cfg(test)]
mod tests;

/// How many programs are remembered, each with a file descriptor, and how many
/// bytes of machine code. The one used longest ago goes first; who still holds it
/// keeps it.
const KEPT: usize = 256;
const KEPT_BYTES: usize = 256 << 20;

/// The most bytes that are hashed where they are asked for, which takes less than
/// a millisecond. More are hashed on a thread of the `blocking` pool.
const HASHED_HERE: usize = 1 << 20;

/// Programs by the hash of their bytes, compiled or being compiled.
pub(crate) struct Programs {
    tiers: Arc<Tiers>,
    cache: Option<Arc<Cache>>,
    shelf: Arc<Mutex<Shelf>>,
    /// What is compiled, one a processor at a time.
    compiling: Queue,
    /// What is hashed elsewhere. Apart from what is compiled, so that a program
    /// that is there is found while others compile.
    hashing: Queue,
}

/// What there is, and what is to come.
#[derive(Default)]
struct Shelf {
    /// The one used last stands last.
    kept: Vec<Kept>,
    /// Of the machine code of all of them.
    bytes: usize,
    /// Held by those who wait for them, and gone with the last of these.
    pending: HashMap<Hash, Weak<Pending>>,
}

/// A compilation that is waited for. Never dropped while the shelf is locked.
struct Pending {
    hash: Hash,
    shelf: Arc<Mutex<Shelf>>,
    progress: Arc<Progress>,
    compiled: Shared<BoxFuture<'static, Outcome>>,
}

enum Found {
    Kept(Arc<Compiled>),
    Pending(Arc<Pending>),
}

/// BLAKE3 of a component's bytes.
pub(crate) type Hash = [u8; 32];

type Kept = (Hash, Arc<Compiled>);

type Outcome = Result<Arc<Compiled>, Error>;

impl Programs {
    pub(crate) fn new(tiers: Arc<Tiers>, cache: Option<Cache>) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Self {
            tiers,
            cache: cache.map(Arc::new),
            shelf: Arc::default(),
            compiling: Queue::new(processors),
            hashing: Queue::new(processors),
        }
    }

    pub(crate) fn tiers(&self) -> &Arc<Tiers> {
        &self.tiers
    }

    pub(crate) async fn compile(&self, wasm: Bytes, observer: Option<Observer>) -> Outcome {
        if let Some(observer) = &observer {
            observer(Phase::Hashing);
        }
        let hash = self.hash(&wasm).await;
        match self.find(hash, || self.start(hash, wasm)) {
            Found::Kept(compiled) => Ok(compiled),
            // Held until the future is through.
            Found::Pending(pending) => {
                if let Some(observer) = observer {
                    pending.progress.observe(observer);
                }
                pending.compiled.clone().await
            }
        }
    }

    /// What is there, if it is.
    pub(crate) fn recall(&self, hash: &Hash) -> Option<Arc<Compiled>> {
        lock(&self.shelf).recall(hash)
    }

    /// Keeps `compiled`, which was used last from now on.
    pub(crate) fn keep(&self, compiled: &Arc<Compiled>) {
        keep(&self.shelf, compiled);
    }

    /// What the code of one more takes of the process.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], where nothing is kept that could give way.
    pub(crate) fn footing(&self) -> Result<Arc<Footing>, Error> {
        footing(&self.shelf)
    }

    async fn hash(&self, wasm: &Bytes) -> Hash {
        if wasm.len() <= HASHED_HERE {
            return blake3::hash(wasm).into();
        }
        let wasm = wasm.clone();
        let hash = move || blake3::hash(&wasm).into();
        self.hashing.run(hash).await
    }

    /// Finds what is there or to come, or else has it made by `start`, which
    /// must not look at the shelf.
    fn find(&self, hash: Hash, start: impl FnOnce() -> Pending) -> Found {
        let mut shelf = lock(&self.shelf);
        if let Some(compiled) = shelf.recall(&hash) {
            return Found::Kept(compiled);
        }
        if let Some(pending) = shelf.pending.get(&hash).and_then(Weak::upgrade) {
            return Found::Pending(pending);
        }
        let pending = Arc::new(start());
        shelf.pending.insert(hash, Arc::downgrade(&pending));
        Found::Pending(pending)
    }

    /// A compilation that begins when it is first polled.
    fn start(&self, hash: Hash, wasm: Bytes) -> Pending {
        let progress = Arc::new(Progress::default());
        let job = Job {
            hash,
            wasm,
            tiers: self.tiers.clone(),
            cache: self.cache.clone(),
            progress: progress.clone(),
        };
        let (compiling, shelf) = (self.compiling.clone(), self.shelf.clone());
        let compiled = async move {
            job.progress.begin(Phase::Waiting);
            let compile = move || {
                let outcome =
                    footing(&shelf).and_then(|footing| caught(|| job.run(footing).map(Arc::new)));
                // Here, because whoever waits may be slow to look.
                if let Ok(compiled) = &outcome {
                    keep(&shelf, compiled);
                }
                job.progress.end();
                outcome
            };
            compiling.run(compile).await
        };
        Pending {
            hash,
            shelf: self.shelf.clone(),
            progress,
            compiled: compiled.boxed().shared(),
        }
    }
}

/// What a thread is given that compiles.
struct Job {
    hash: Hash,
    wasm: Bytes,
    tiers: Arc<Tiers>,
    cache: Option<Arc<Cache>>,
    progress: Arc<Progress>,
}

impl Job {
    fn run(&self, footing: Arc<Footing>) -> Result<Compiled, Error> {
        let Some(cache) = &self.cache else {
            return Compiled::compile(
                &self.tiers,
                self.hash,
                &self.wasm,
                &self.progress,
                footing,
                |_, _| (),
            );
        };
        self.progress.begin(Phase::Seeking);
        let id = Cache::id(self.tiers.compiler(), &self.hash);
        // What was kept was linked before. If it is not any more, the compiler says
        // why.
        if let Some(Ok(loaded)) = self.load(cache, id, &footing) {
            return Ok(loaded);
        }
        if let Some(filler) = cache.filler() {
            self.progress.begin(Phase::Compiling);
            let failed = |error: io::Error| Error::Compile(Arc::new(error));
            filler(&self.wasm).map_err(failed)?;
            return self.load(cache, id, &footing).unwrap_or_else(|| {
                Err(failed(io::Error::other(
                    "its program was not put into the cache, for a runtime of these settings",
                )))
            });
        }
        let keep = |artifact: &Artifact, instances| cache.keep(id, artifact, instances);
        Compiled::compile(
            &self.tiers,
            self.hash,
            &self.wasm,
            &self.progress,
            footing,
            keep,
        )
    }

    /// What the cache has, if it has it.
    fn load(
        &self,
        cache: &Cache,
        id: Id,
        footing: &Arc<Footing>,
    ) -> Option<Result<Compiled, Error>> {
        let (artifact, instances) = cache.find(id)?;
        self.progress.begin(Phase::Linking);
        let footing = footing.clone();
        Some(Compiled::load(
            &self.tiers,
            self.hash,
            &artifact,
            instances,
            footing,
        ))
    }
}

impl Shelf {
    /// What is kept of this hash, which was used last from now on.
    fn recall(&mut self, hash: &Hash) -> Option<Arc<Compiled>> {
        let index = self.kept.iter().position(|(kept, _)| kept == hash)?;
        self.kept[index..].rotate_left(1);
        let (_, compiled) = self.kept.last()?;
        Some(compiled.clone())
    }

    /// Answers the programs that have to go for it.
    fn keep(&mut self, compiled: Arc<Compiled>) -> Vec<Kept> {
        if self.recall(&compiled.hash()).is_some() {
            return Vec::new();
        }
        self.bytes += compiled.size();
        self.kept.push((compiled.hash(), compiled));
        let mut going = 0;
        while self.kept.len() - going > KEPT
            || (self.bytes > KEPT_BYTES && self.kept.len() - going > 1)
        {
            self.bytes -= self.kept[going].1.size();
            going += 1;
        }
        self.kept.drain(..going).collect()
    }

    /// Takes out the one used longest ago of those that nobody holds.
    fn let_go(&mut self) -> Option<Kept> {
        let unheld =
            |(_, compiled): &Kept| Arc::strong_count(compiled) == 1 && !compiled.is_in_use();
        let index = self.kept.iter().position(unheld)?;
        let gone = self.kept.remove(index);
        self.bytes -= gone.1.size();
        Some(gone)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut shelf = lock(&self.shelf);
        let pending = shelf.pending.get(&self.hash);
        // Somebody may have begun anew after the last waiter of this one left.
        if pending.is_some_and(|pending| pending.strong_count() == 0) {
            shelf.pending.remove(&self.hash);
        }
    }
}

/// What is merely kept of this runtime gives way.
fn footing(shelf: &Mutex<Shelf>) -> Result<Arc<Footing>, Error> {
    loop {
        let refused = match Footing::take() {
            Ok(footing) => return Ok(Arc::new(footing)),
            Err(error) => error,
        };
        let gone = lock(shelf).let_go();
        // With the shelf unlocked: it may take a while.
        if gone.is_none() {
            return Err(refused);
        }
    }
}

fn keep(shelf: &Mutex<Shelf>, compiled: &Arc<Compiled>) {
    let evicted = lock(shelf).keep(compiled.clone());
    // With the shelf unlocked: it may take a while.
    drop(evicted);
}

/// Every change of the shelf is whole before it can panic.
fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `compile` answers; a panic of the compiler's is an error like others.
fn caught<T>(compile: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing of what was touched is used again.
    catch_unwind(AssertUnwindSafe(compile)).unwrap_or_else(|panic| {
        let text = format!("the compiler panicked: {}", panic_text(&*panic));
        Err(Error::Compile(cause(wasmtime::Error::msg(text))))
    })
}
