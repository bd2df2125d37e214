use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use ww_image::{Image, Path};
use ww_membrane::Membrane;
use ww_rpc::peer_capnp::executor::{
    self, CompileParams, CompileResults, EchoParams, EchoResults, RunBytesParams, RunBytesResults,
    RunImageParams, RunImageResults,
};
use ww_rpc::peer_capnp::process;

use super::Host;
use super::options::{Options, handed_down};
use super::process::Process;
use super::program::Compiled;
use super::quota::{Held, Quota, Turn};
use super::services::{Service, Services, place};
use crate::Runtime;
use crate::cell::{self, Driver, Input, Limits, Local, Output, Sources, Start, Transport};
use crate::clock::Clock;
use crate::error::with_causes;
use crate::network::Network;
use crate::random::{self, Random};

/// The server of the wire's `Executor`: runs code as cells, on the thread where
/// it is served.
///
/// A cell that it spawns holds the capability that its parent hands down and
/// nothing else. It lives while somebody holds its `Process`, a call on it, or
/// one of its streams, and ends with its parent at the latest.
pub struct Spawner {
    runtime: Runtime,
    network: Arc<dyn Network>,
    place: Place,
    membrane: Option<Membrane>,
    limits: Limits,
    quota: Rc<Quota>,
    /// Where images to run are looked for.
    image: Option<Image>,
    sources: Sources,
    /// Whether what its cells write to standard error is told as events.
    tells: bool,
}

/// Where cells are started.
enum Place {
    /// In the driver of another cell.
    Beside(Local),
    /// Each in a driver of its own.
    Here(Box<dyn Fn(Driver)>),
}

impl Spawner {
    /// A spawner whose cells are driven by `drive`, which is given each of them
    /// and has to poll it on the current thread. How many there are is bounded
    /// by the process's room alone. They have the runtime's clock and the system's
    /// randomness, unless told otherwise.
    pub fn new(
        runtime: &Runtime,
        network: Arc<dyn Network>,
        drive: impl Fn(Driver) + 'static,
    ) -> Self {
        let limits = Limits::default();
        Self {
            runtime: runtime.clone(),
            network,
            place: Place::Here(Box::new(drive)),
            membrane: None,
            limits,
            quota: Rc::new(Quota::new(limits)),
            image: None,
            sources: Sources::default(),
            tells: false,
        }
    }

    /// A spawner whose cells run beside the cell of `local`, as its children;
    /// [`Limits::children`] says how many. Each has the limits of that cell, its clock,
    /// and its source of randomness; and where that cell's standard error is told as
    /// events ([`Output::tracing`]), theirs is too, beside what their parents read.
    pub fn beside(local: &Local, runtime: &Runtime, network: Arc<dyn Network>) -> Self {
        Self {
            runtime: runtime.clone(),
            network,
            place: Place::Beside(local.clone()),
            membrane: None,
            limits: *local.limits(),
            quota: local.quota(),
            image: local.shared().image.clone(),
            sources: local.shared().sources.clone(),
            tells: local.shared().tells,
        }
    }

    /// One whose cells are the children of `child`, one of this one's.
    pub(super) fn below(&self, child: &Local) -> Self {
        Self {
            membrane: self.membrane.clone(),
            ..Self::beside(child, &self.runtime, self.network.clone())
        }
    }

    /// Runs images that lie in `image`, in place of the one that the cell it
    /// spawns beside sees at `/`.
    pub fn image(mut self, image: impl Into<Image>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Tells what its cells write to standard error as events as well, in their spans,
    /// as [`Output::tracing`] does.
    pub fn tracing(mut self) -> Self {
        self.tells = true;
        self
    }

    /// Gives each of its cells these limits, or what narrower ones its parent
    /// asks for. Where its cells are nobody's children, [`Limits::code`] and
    /// [`Limits::compilations`] hold for all of them together as well.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        if let Place::Here(_) = self.place {
            self.quota = Rc::new(Quota::new(limits));
        }
        self
    }

    /// The time that its cells see and sleep by; see
    /// [`Builder::clock`](cell::Builder::clock).
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.sources.clock = Some(Arc::new(clock));
        self
    }

    /// The random numbers that its cells get, all of them from the one source; see
    /// [`Builder::random`](cell::Builder::random).
    pub fn random(mut self, random: impl Random) -> Self {
        self.sources.random = Some(random::Common::new(random));
        self
    }

    /// Lets everything that is handed down to cells pass `membrane`, be it when they
    /// are spawned or by a call on what they export.
    ///
    /// What a parent hands down has come in through its own session's membrane
    /// and lost that membrane's wrapper on the way; this puts it on again.
    pub fn membrane(mut self, membrane: Membrane) -> Self {
        self.membrane = Some(membrane);
        self
    }

    /// The capability.
    pub fn client(self: Rc<Self>) -> executor::Client {
        capnp_rpc::new_client_from_rc(self)
    }

    /// What a cell that it spawns has at the most.
    pub(super) fn own_limits(&self) -> &Limits {
        &self.limits
    }

    /// What stands between parents and their cells.
    pub(super) fn around(&self) -> Option<&Membrane> {
        self.membrane.as_ref()
    }

    pub(super) fn network(&self) -> &Arc<dyn Network> {
        &self.network
    }

    /// Runs `program` as a new cell that bootstraps `bootstrap`, with `image` at `/`.
    pub(super) async fn spawn(
        self: Rc<Self>,
        program: Rc<Held>,
        image: Option<Image>,
        mut options: Options,
        bootstrap: Option<Client>,
    ) -> Result<process::Client, Error> {
        let name = options.take_name();
        let mut builder = cell::Builder::new()
            .program(program.program().clone())
            .argv(options.args)
            .transport(options.transport)
            .limits(options.limits)
            .sources(self.sources.clone())
            .stderr(match self.tells {
                true => Output::told(),
                false => Output::piped(),
            });
        if options.transport != Transport::Stdio {
            builder = builder.stdin(Input::piped()).stdout(Output::piped());
        }
        for (key, value) in options.env {
            builder = builder.env(key, value);
        }
        for path in options.scratch {
            builder = builder.scratch(path);
        }
        if let Some(name) = name {
            builder = builder.name(name);
        }
        if let Place::Beside(parent) = &self.place {
            builder = builder.child_of(parent)?;
        }
        if let Some(image) = image {
            builder = builder.image(image);
        }
        let (cell, start) = builder.prepare().await?;
        let bootstrap = bootstrap.map(|inside| self.hand_down(inside));
        let local = self.place.start(start, bootstrap)?;
        local.share_quota(self.quota.clone());
        let process = Process::new(cell, local, program, self);
        Ok(capnp_rpc::new_client(process))
    }

    /// Compiles what `wasm` gives, once it is its cell's turn in its family, and counts
    /// the program among those that the cell holds.
    async fn compiled(
        &self,
        turn: Turn,
        wasm: impl FnOnce() -> Result<Bytes, Error>,
    ) -> Result<Rc<Held>, Error> {
        let turn = self.quota.lead(turn).await;
        let wasm = wasm()?;
        // The compiler goes on with what it has begun, also where the call is given up.
        // It holds on to who looks on, and so to the turn, until it is done.
        let program = self.runtime.compile(wasm).observe(move |_| {
            let _ = &turn;
        });
        self.quota.hold(&program.await?)
    }

    /// What lies at `path` of the image, and its program.
    async fn service(&self, path: &Path) -> Result<(Image, Rc<Held>), Error> {
        let image = self.image.as_ref().ok_or_else(|| {
            Error::failed("the cell of this executor has no image to run one out of".into())
        })?;
        let known = Services::of(image);
        let looking = self.quota.lookup()?;
        let at = place(image, path).await.map_err(crate::Error::from)?;
        if let Some(Service { image, hash }) = known.recall(&at)
            && let Some(program) = self.runtime.recall(&hash)
        {
            return Ok((image, self.quota.hold(&program)?));
        }
        let _compilation = self.quota.compilation()?;
        let image = image.nested(&at).await.map_err(crate::Error::from)?;
        drop(looking);
        // Where it comes slowly, none that compiles waits.
        let reading = self.quota.reading().await;
        let wasm = image.main().await.map_err(crate::Error::from)?;
        let turn = self.quota.turn().await;
        drop(reading);
        let program = self.compiled(turn, || Ok(wasm)).await?;
        let hash = program.program().hash();
        let service = Service {
            image: image.clone(),
            hash,
        };
        known.remember(at, service);
        Ok((image, program))
    }

    fn hand_down<C: FromClientHook>(&self, inside: C) -> C {
        match &self.membrane {
            Some(membrane) => membrane.wrap(inside),
            None => inside,
        }
    }
}

impl Place {
    fn start(&self, start: Start, bootstrap: Option<Client>) -> Result<Local, Error> {
        match self {
            Self::Beside(parent) => Ok(start.below(parent, bootstrap)?),
            Self::Here(drive) => {
                let (local, driver) = start.alone(bootstrap);
                drive(driver);
                Ok(local)
            }
        }
    }
}

impl executor::Server for Spawner {
    async fn run_bytes(
        self: Rc<Self>,
        params: RunBytesParams,
        mut results: RunBytesResults,
    ) -> Result<(), Error> {
        let compilation = self.quota.compilation()?;
        let options = {
            let params = params.get()?;
            let (args, env) = (params.get_args()?, params.get_env()?);
            Options::parse(args, env, Transport::default(), self.limits)?
        };
        let turn = self.quota.turn().await;
        // Until then it counts for the connection that it came by.
        let wasm = move || Ok(Bytes::copy_from_slice(params.get()?.get_wasm()?));
        let program = self.compiled(turn, wasm).await?;
        drop(compilation);
        // Made anew for each child, because a spawner that held its own host
        // would hold itself.
        let host = Host::new(self.clone()).client();
        let process = self.spawn(program, None, options, Some(host.cast_to()));
        let process = process.await?;
        results.get().set_process(process);
        Ok(())
    }

    async fn echo(
        self: Rc<Self>,
        params: EchoParams,
        mut results: EchoResults,
    ) -> Result<(), Error> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }

    async fn compile(
        self: Rc<Self>,
        params: CompileParams,
        mut results: CompileResults,
    ) -> Result<(), Error> {
        let compilation = self.quota.compilation()?;
        let turn = self.quota.turn().await;
        let wasm = move || Ok(Bytes::copy_from_slice(params.get()?.get_wasm()?));
        let program = self.compiled(turn, wasm).await?;
        drop(compilation);
        let compiled = Compiled::new(self.clone(), program);
        results.get().set_program(capnp_rpc::new_client(compiled));
        Ok(())
    }

    async fn run_image(
        self: Rc<Self>,
        params: RunImageParams,
        mut results: RunImageResults,
    ) -> Result<(), Error> {
        let (path, options, bootstrap) = {
            let params = params.get()?;
            let path = params.get_path()?.to_str()?;
            let path = Path::new(path).map_err(|error| Error::failed(with_causes(&error)))?;
            let options = Options::read(params.get_options()?, &self.limits)?;
            let options = options.named(path.as_str());
            (path, options, handed_down(params.get_bootstrap())?)
        };
        drop(params);
        let (image, program) = self.service(&path).await?;
        let process = self.spawn(program, Some(image), options, bootstrap);
        let process = process.await?;
        results.get().set_process(process);
        Ok(())
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner")
            .field("host", &self.network.local())
            .field("membrane", &self.membrane)
            .finish_non_exhaustive()
    }
}
