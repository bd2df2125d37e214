use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use wasmtime::Engine;
use wasmtime::component::Linker;
use ww_image::Image;

use crate::cell::State;
use crate::clock::{self, Clock, Timer};
use crate::error::{Error, cause};
use crate::program::{Compiled, Program};
use crate::programs::Programs;
use crate::ticker::Ticker;
use crate::workers::{Threads, Workers};
use crate::{engine, rpc, wasi};

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
    engine: Engine,
    linker: Arc<Linker<State>>,
    programs: Programs,
    workers: Arc<dyn Workers>,
    ticker: Arc<Ticker>,
    clock: Arc<dyn Clock>,
}

/// Configures a [`Runtime`].
#[derive(Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct RuntimeBuilder {
    workers: Option<Arc<dyn Workers>>,
    clock: Option<Arc<dyn Clock>>,
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
    /// [`Error::Link`], [`Error::NoEntry`].
    pub async fn compile(&self, wasm: impl Into<Bytes>) -> Result<Program, Error> {
        let inner = &self.inner;
        let compiled = inner.programs.compile(&inner.linker, wasm.into()).await?;
        Ok(Program::new(self.clone(), compiled))
    }

    /// Loads `bin/main.wasm` of `image` and compiles it. The image remembers
    /// the program.
    ///
    /// # Errors
    ///
    /// [`Error::Image`], and those of [`compile`](Self::compile).
    pub async fn load(&self, image: &Image) -> Result<Program, Error> {
        let inner = &self.inner;
        if let Some(compiled) = image.memo().recall::<Arc<Compiled>>(inner.id) {
            return Ok(Program::new(self.clone(), compiled));
        }
        let wasm = image.main().await?;
        let compiled = inner.programs.compile(&inner.linker, wasm).await?;
        image.memo().remember(inner.id, compiled.clone());
        Ok(Program::new(self.clone(), compiled))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn workers(&self) -> &dyn Workers {
        &*self.inner.workers
    }

    pub(crate) fn ticker(&self) -> Arc<Ticker> {
        self.inner.ticker.clone()
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.inner.clock.clone()
    }
}

impl RuntimeBuilder {
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

    /// The time that cells see and sleep by. The machine's own, if not set.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Makes the runtime. Starts no thread yet.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] when this machine cannot run WebAssembly.
    pub fn build(self) -> Result<Runtime, Error> {
        let engine = engine::engine()?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker)
            .and_then(|()| rpc::add_to_linker(&mut linker))
            .map_err(|error| Error::Engine(cause(error)))?;
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
            ticker: Ticker::new(&engine, timer),
            engine,
            linker: Arc::new(linker),
            programs: Programs::default(),
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
