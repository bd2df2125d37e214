use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use ww_image::Image;

use crate::cache::Cache;
use crate::clock::{self, Clock, Timer};
use crate::compilation::Compilation;
use crate::error::Error;
use crate::footing::Footing;
use crate::phase::Phase;
use crate::program::{Compiled, Program};
use crate::programs::{Hash, Programs};
use crate::room::{Occupancy, Room};
use crate::ticker::Ticker;
use crate::tier::Tiers;
use crate::workers::{Threads, Workers};

/// Places of a pool, if not set.
const CELLS: u32 = 1_000;

/// What cells share: the engine, the linked host functions, compiled
/// programs, worker threads and the clock.
///
/// Cheap to clone. One a process is enough; [`Runtime::shared`] is that one.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    /// Tells this runtime from others in what an image remembers.
    id: u64,
    room: Arc<Room>,
    programs: Programs,
    workers: Arc<dyn Workers>,
    ticker: Arc<Ticker>,
    clock: Arc<dyn Clock>,
}

/// Configures a [`Runtime`].
#[derive(Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct RuntimeBuilder {
    cells: Option<u32>,
    cache: Option<Cache>,
    workers: Option<Arc<dyn Workers>>,
    clock: Option<Arc<dyn Clock>>,
    source_lines: bool,
}

impl Runtime {
    /// A runtime with the default settings.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] when this machine cannot run WebAssembly.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Settings for a runtime.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// The runtime that cells run on which are not given another. Made when
    /// first asked for; lives as long as the process.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn shared() -> Result<Self, Error> {
        static SHARED: OnceLock<Result<Runtime, Error>> = OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// Compiles a component, or finds it compiled: programs are remembered by
    /// the hash of their bytes. Compilation runs on the threads of the
    /// `blocking` crate; several who ask for the same at a time share one.
    ///
    /// # Errors
    ///
    /// [`Error::NotAComponent`], [`Error::Compile`], [`Error::Import`],
    /// [`Error::Link`], [`Error::NoEntry`], [`Error::Full`].
    pub fn compile(&self, wasm: impl Into<Bytes>) -> Compilation {
        let (runtime, wasm) = (self.clone(), wasm.into());
        Compilation::new(|observer| async move {
            let compiled = runtime.inner.programs.compile(wasm, observer).await?;
            Ok(Program::new(runtime, compiled))
        })
    }

    /// Loads `bin/main.wasm` of `image` and compiles it. The image remembers
    /// the program for as long as it is among those that the runtime keeps, or is
    /// held, so this is also how to have one ready before its first cell is to
    /// start.
    ///
    /// # Errors
    ///
    /// [`Error::Image`], and those of [`compile`](Self::compile).
    pub fn load(&self, image: &Image) -> Compilation {
        let (runtime, image) = (self.clone(), image.clone());
        Compilation::new(|observer| async move {
            let inner = &runtime.inner;
            let known = image.memo().recall::<Weak<Compiled>>(inner.id);
            let compiled = match known.and_then(|known| known.upgrade()) {
                Some(compiled) => {
                    inner.programs.keep(&compiled);
                    compiled
                }
                None => {
                    if let Some(observer) = &observer {
                        observer(Phase::Reading);
                    }
                    let wasm = image.main().await?;
                    let compiled = inner.programs.compile(wasm, observer).await?;
                    // An image that held it would hold the engine, and the pool.
                    let weak = Arc::downgrade(&compiled);
                    image.memo().remember(inner.id, weak);
                    compiled
                }
            };
            Ok(Program::new(runtime, compiled))
        })
    }

    /// The program of what has this hash, where there is one.
    pub(crate) fn recall(&self, hash: &Hash) -> Option<Program> {
        let compiled = self.inner.programs.recall(hash)?;
        Some(Program::new(self.clone(), compiled))
    }

    /// How much of the runtime is in use.
    pub fn occupancy(&self) -> Occupancy {
        self.inner.room.occupancy()
    }

    /// The time that cells see and sleep by.
    ///
    /// A runtime makes no loader of its own, so it is for whoever makes one to
    /// give it this: the deadlines of a
    /// [`Blocks`](ww_loader::ipfs::Builder::clock) or a
    /// [`Stem`](ww_loader::stem::Stem::new) then pass on one clock with those of
    /// the cells that run on them, and no second timer thread is started.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.inner.clock.clone()
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.inner.room
    }

    pub(crate) fn tiers(&self) -> &Arc<Tiers> {
        self.inner.programs.tiers()
    }

    /// What one more program takes of the process; see [`Programs::footing`].
    pub(crate) fn footing(&self) -> Result<Arc<Footing>, Error> {
        self.inner.programs.footing()
    }

    pub(crate) fn workers(&self) -> &dyn Workers {
        &*self.inner.workers
    }

    pub(crate) fn ticker(&self) -> Arc<Ticker> {
        self.inner.ticker.clone()
    }
}

impl RuntimeBuilder {
    /// Keeps places for `cells` cells in a pool, where they start and end
    /// faster than elsewhere; 1,000 if not set, and none at all with 0. A place
    /// takes address space beforehand, but memory only once it was used.
    ///
    /// More cells than that run beside the pool, until the process may have no
    /// more memory mappings ([`Error::Full`]). A cell takes 6 or 7 of them in
    /// the pool, where they are set aside beforehand, and 7 or more beside it.
    /// So a process that is to have 10,000 cells should say so. More than 8,000
    /// fit the usual `vm.max_map_count` of 65,530 as long as their programs are
    /// few; where strangers bring many different ones, raise it to 8 a cell.
    pub fn cells(mut self, cells: u32) -> Self {
        self.cells = Some(cells);
        self
    }

    /// Keeps compiled programs on disk as well.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Runs cells on `count` threads of the runtime's own. As many as there
    /// are processors, if not set.
    pub fn workers(self, count: usize) -> Self {
        self.workers_on(Threads::new(count))
    }

    /// Runs cells on threads of the application's own.
    pub fn workers_on(mut self, workers: impl Workers + 'static) -> Self {
        self.workers = Some(Arc::new(workers));
        self
    }

    /// Whether backtraces of guests that trap name the lines of their source,
    /// where a component carries DWARF. Off if not set, because the host then
    /// reads a format of some complexity that a stranger may have written.
    /// Names of functions are there in either case.
    pub fn source_lines(mut self, source_lines: bool) -> Self {
        self.source_lines = source_lines;
        self
    }

    /// The time that cells see and sleep by. The machine's own, if not set.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Makes the runtime. Starts no thread yet.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] when this machine cannot run WebAssembly, or does not
    /// give the address space for the pool, 4 GiB a place. [`Error::Full`] when
    /// the process may not have as many memory mappings as the pool needs.
    pub fn build(self) -> Result<Runtime, Error> {
        let lines = self.source_lines;
        let with = |cells| Ok((Room::new(cells), Tiers::new(cells, lines)?));
        let (room, tiers) = match self.cells {
            Some(cells) => with(cells)?,
            // Nobody insists on a pool.
            None => with(CELLS).or_else(|_: Error| with(0))?,
        };
        let tiers = Arc::new(tiers);
        let timer = Timer::new();
        let workers = self.workers.unwrap_or_else(|| {
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            Arc::new(Threads::new(count))
        });
        let clock = self
            .clock
            .unwrap_or_else(|| Arc::new(clock::System::on(timer.clone())));
        static IDS: AtomicU64 = AtomicU64::new(0);
        let inner = Inner {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            ticker: Ticker::new(tiers.engines(), timer),
            room: Arc::new(room),
            programs: Programs::new(tiers, self.cache),
            workers,
            clock,
        };
        Ok(Runtime {
            inner: Arc::new(inner),
        })
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeBuilder").finish_non_exhaustive()
    }
}
