use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex};

use capnp::capability::FromClientHook;
use tracing::Span;
use ww_image::Image;

use super::arguments::{argv, env};
use super::berth::Berth;
use super::budget::Budget;
use super::handle::Cell;
use super::limits::Limits;
use super::local::Local;
use super::outcome::Outcome;
use super::ports::Ports;
use super::ready::Ready;
use super::shared::Shared;
use super::sources::Sources;
use super::start::{Bootstrap, Start, Unstarted};
use super::state::State;
use super::stdio::{Input, Output};
use super::transport::Transport;
use crate::clock::Clock;
use crate::error::Error;
use crate::program::Program;
use crate::random::{self, Random};
use crate::runtime::Runtime;
use crate::wasi::{Mount, Setup, Source, Wasi};

/// Configures a cell.
///
/// What is not set is not there: no arguments, an empty environment, an empty
/// standard input, output that is discarded, and no capability at all.
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<String>,
    image: Option<Image>,
    mounts: Vec<Mount>,
    program: Option<Program>,
    runtime: Option<Runtime>,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    ports: Ports,
    bootstrap: Option<Bootstrap>,
    limits: Limits,
    sources: Sources,
    neighbour: Option<Arc<Shared>>,
    /// The span of the family that it is born into, its parent's id, and its place there.
    family: Option<(Span, u64, Berth)>,
}

impl Builder {
    /// A builder for a cell that is given nothing.
    pub fn new() -> Self {
        Self {
            name: None,
            image: None,
            mounts: Vec::new(),
            program: None,
            runtime: None,
            argv: vec!["main.wasm".into()],
            env: Vec::new(),
            ports: Ports::default(),
            bootstrap: None,
            limits: Limits::default(),
            sources: Sources::default(),
            neighbour: None,
            family: None,
        }
    }

    /// What the cell is called in the spans of the `tracing` crate, beside its
    /// [`id`](Cell::id). The guest does not learn it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs `bin/main.wasm` of `image`, and mounts the image read only at `/`.
    pub fn image(mut self, image: impl Into<Image>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Runs `program`, without loading anything. With an image as well, the
    /// image is only mounted.
    pub fn program(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// Mounts one more image, read only, where the guest finds it at `path`:
    /// absolute, without `.`, `..` or a trailing `/`. It is a preopened
    /// directory of its own, so a listing of what it is mounted in does not
    /// show it.
    pub fn mount(mut self, path: impl Into<String>, image: impl Into<Image>) -> Self {
        let (path, source) = (path.into(), Source::Image(image.into()));
        self.mounts.push(Mount { path, source });
        self
    }

    /// Gives the guest a writable directory at `path`, as with
    /// [`mount`](Self::mount). It is empty at first, in memory, nobody else's,
    /// and gone with the cell. All of a cell's together take
    /// [`Limits::scratch`] bytes.
    pub fn scratch(mut self, path: impl Into<String>) -> Self {
        let (path, source) = (path.into(), Source::Scratch);
        self.mounts.push(Mount { path, source });
        self
    }

    /// Runs on `runtime` rather than on the process's shared one. Has no effect
    /// beside a program, which brings its own.
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Arguments, after `main.wasm`. UTF-8 is all that a component can take.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.argv.truncate(1);
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// All of argv, the program's name included.
    pub fn argv(mut self, argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.argv = argv.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Connects standard input, which is empty otherwise.
    pub fn stdin(mut self, input: Input) -> Self {
        self.ports.stdin = Some(input);
        self
    }

    /// Connects standard output, which is discarded otherwise.
    pub fn stdout(mut self, output: Output) -> Self {
        self.ports.stdout = Some(output);
        self
    }

    /// Connects standard error, which is discarded otherwise.
    pub fn stderr(mut self, output: Output) -> Self {
        self.ports.stderr = output;
        self
    }

    /// Sends standard output and error to the process's own.
    pub fn inherit_output(self) -> Self {
        self.stdout(Output::inherit()).stderr(Output::inherit())
    }

    /// Where the cell speaks RPC.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.ports.transport = transport;
        self
    }

    /// Makes the capability that the cell bootstraps with: all its authority.
    ///
    /// `bootstrap` runs once, on the cell's thread, when the cell starts, and
    /// only if the cell speaks RPC. Without it, a guest that asks for its
    /// bootstrap capability gets an error.
    ///
    /// What it serves is polled on that thread. Where that is a worker of the
    /// runtime's, there is no reactor of another executor: timers and sockets of tokio
    /// panic there, and the cell with them. A server that needs them goes with
    /// [`prepare`](Self::prepare), driven in a `LocalSet`, or with workers that have
    /// tokio ([`workers_on`](crate::RuntimeBuilder::workers_on)), as
    /// `examples/tokio_workers.rs` has.
    pub fn bootstrap<C: FromClientHook>(
        mut self,
        bootstrap: impl FnOnce(&Local) -> Result<C, Error> + Send + 'static,
    ) -> Self {
        self.bootstrap = Some(Box::new(|local| Ok(bootstrap(local)?.cast_to())));
        self
    }

    /// Bounds on what the guest may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The time that the guest and its children see and sleep by, in place of the
    /// runtime's. [`Limits::wall`] goes by the runtime's all the same.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.sources.clock = Some(Arc::new(clock));
        self
    }

    /// The random numbers that the guest and its children get, in place of the
    /// system's: all draw from the one source, each when it asks, so what repeats is
    /// one of them at a time.
    pub fn random(mut self, random: impl Random) -> Self {
        self.sources.random = Some(random::Common::new(random));
        self
    }

    /// Both of them.
    pub(crate) fn sources(mut self, sources: Sources) -> Self {
        self.sources = sources;
        self
    }

    /// Makes it a child of the cell that `parent` belongs to, where it counts from now on.
    /// Fails as [`Berth::below`] does.
    pub(crate) fn child_of(mut self, parent: &Local) -> Result<Self, Error> {
        let berth = Berth::below(parent.shared())?;
        self.family = Some((parent.span().clone(), parent.shared().id, berth));
        Ok(self)
    }

    /// Has [`spawn`](Self::spawn) put the cell on the thread that `neighbour`
    /// lives on, so that capabilities of the one can be handed to the other:
    /// they do not cross threads.
    pub fn beside(mut self, neighbour: &Cell) -> Self {
        self.neighbour = Some(neighbour.shared.clone());
        self
    }

    /// Starts the cell on a worker of its runtime, whatever executor this is awaited on:
    /// its own is [`prepare`](Self::prepare)'s.
    ///
    /// # Errors
    ///
    /// What was given cannot be run; see [`prepare`](Self::prepare).
    /// [`Error::Worker`] when there is no thread to run on,
    /// [`Error::Ended`] when the cell it was to be put beside has ended.
    pub async fn spawn(self) -> Result<Cell, Error> {
        let ready = self.ready().await?;
        ready.run()
    }

    /// Does all of [`spawn`](Self::spawn) that can wait.
    pub(crate) async fn ready(mut self) -> Result<Ready, Error> {
        let neighbour = self.neighbour.take();
        let runtime = self.resolve_runtime()?;
        let (cell, start) = self.prepare().await?;
        Ok(Ready {
            cell,
            start,
            runtime,
            neighbour,
        })
    }

    /// Makes everything ready to run the cell, for an executor of the
    /// caller's own.
    ///
    /// # Errors
    ///
    /// [`Error::Image`], [`Error::NotAComponent`], [`Error::Compile`],
    /// [`Error::Import`], [`Error::Link`] or [`Error::NoEntry`] when what was
    /// given is not a program that a cell can run, [`Error::NothingToRun`]
    /// when nothing was; [`Error::Full`] when there is no room for another
    /// cell; [`Error::Argument`], [`Error::Environment`],
    /// [`Error::Mount`], [`Error::StdioTaken`] for settings that cannot be honoured.
    pub async fn prepare(mut self) -> Result<(Cell, Start), Error> {
        let runtime = self.resolve_runtime()?;
        let argv = argv(std::mem::take(&mut self.argv))?;
        let env = env(std::mem::take(&mut self.env))?;
        let mounts = Mount::all(self.image.as_ref(), std::mem::take(&mut self.mounts))?;
        let mut image = None;
        let program = match (self.program.take(), &self.image) {
            (Some(program), _) => program,
            (None, Some(from)) => {
                let program = runtime.load(from).await?;
                image = from.pinned();
                program
            }
            (None, None) => return Err(Error::NothingToRun),
        };

        let limits = self.limits;
        let place = program.place(&limits).await?;
        let (tell, outcome) = Outcome::new();
        let shared = Arc::new(Shared::new(
            self.image.clone(),
            self.sources.clone(),
            self.ports.stderr.tells(),
            &limits,
            outcome,
        ));
        let name = self.name.as_deref();
        let id = shared.id;
        let span = match &self.family {
            Some((first, parent, _)) => {
                tracing::error_span!(parent: first, "cell", id, name, parent)
            }
            None => tracing::error_span!("cell", id, name),
        };
        let unstarted = Unstarted::new(shared.clone(), self.family.map(|(.., berth)| berth));
        let ends = self.ports.connect(program.imports_rpc(), &limits, &span)?;
        let wasi = Wasi::new(Setup {
            args: argv,
            env,
            stdin: ends.stdin,
            stdout: ends.stdout,
            stderr: ends.stderr,
            mounts,
            clock: self.sources.clock(&runtime),
            random: self.sources.random(),
            shared: shared.clone(),
        });
        let start = Start {
            place,
            state: State::new(
                wasi,
                ends.connection,
                limits,
                program.instances(),
                shared.clone(),
            ),
            shared: unstarted,
            budget: Budget::new(&limits, &runtime),
            ticker: runtime.ticker(),
            span,
            rpc: ends.rpc,
            bootstrap: self.bootstrap,
            outcome: tell,
        };
        let cell = Cell {
            shared,
            streams: Mutex::new(ends.streams),
            detached: false,
            image,
        };
        Ok((cell, start))
    }

    fn resolve_runtime(&mut self) -> Result<Runtime, Error> {
        if let Some(program) = &self.program {
            return Ok(program.runtime().clone());
        }
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Runtime::shared()?,
        };
        self.runtime = Some(runtime.clone());
        Ok(runtime)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("argv", &self.argv)
            .field("transport", &self.ports.transport)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
