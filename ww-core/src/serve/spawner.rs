use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use async_lock::Mutex;
use bytes::Bytes;
use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use ww_membrane::Membrane;
use ww_rpc::peer_capnp::executor::{
    self, CompileParams, CompileResults, EchoParams, EchoResults, RunBytesParams, RunBytesResults,
};
use ww_rpc::peer_capnp::process;

use super::Host;
use super::options::Options;
use super::process::Process;
use super::program::Compiled;
use crate::cell::{self, Driver, Input, Local, Output, Start, Transport};
use crate::network::Network;
use crate::{Program, Runtime};

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
    /// Calls that wait for their code to be compiled.
    compiling: Cell<usize>,
    /// Their turn: one at a time, so that others' code is compiled as well.
    turn: Mutex<()>,
    /// Programs that somebody holds.
    programs: Cell<usize>,
}

/// The most calls that may wait for a compilation.
const MOST_COMPILING: usize = 16;

/// The most programs that may be held. Each has machine code, whose memory and
/// mappings are the whole process's.
const MOST_PROGRAMS: usize = 256;

/// One of the programs that are held, until this is dropped.
pub(super) struct Holding(Rc<Spawner>);

/// One of the calls that compile, until this is dropped.
struct Compilation<'a>(&'a Cell<usize>);

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
    /// by the process's room alone.
    pub fn new(
        runtime: &Runtime,
        network: Arc<dyn Network>,
        drive: impl Fn(Driver) + 'static,
    ) -> Self {
        Self::at(Place::Here(Box::new(drive)), runtime, network)
    }

    /// A spawner whose cells run beside the cell of `local`, as its children;
    /// [`Limits::children`](crate::cell::Limits::children) says how many.
    pub fn beside(local: &Local, runtime: &Runtime, network: Arc<dyn Network>) -> Self {
        Self::at(Place::Beside(local.clone()), runtime, network)
    }

    fn at(place: Place, runtime: &Runtime, network: Arc<dyn Network>) -> Self {
        Self {
            runtime: runtime.clone(),
            network,
            place,
            membrane: None,
            compiling: Cell::new(0),
            turn: Mutex::new(()),
            programs: Cell::new(0),
        }
    }

    /// Lets everything that is handed down to cells pass `membrane`.
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

    pub(super) fn network(&self) -> &Arc<dyn Network> {
        &self.network
    }

    /// Runs `program` as a new cell that bootstraps `bootstrap`.
    pub(super) async fn spawn(
        &self,
        program: Program,
        options: Options,
        bootstrap: Option<Client>,
    ) -> Result<process::Client, Error> {
        let mut builder = cell::Builder::new()
            .program(program)
            .argv(options.args)
            .transport(options.transport)
            .stderr(Output::piped());
        if options.transport != Transport::Stdio {
            builder = builder.stdin(Input::piped()).stdout(Output::piped());
        }
        for (key, value) in options.env {
            builder = builder.env(key, value);
        }
        let (cell, start) = builder.prepare().await?;
        let bootstrap = bootstrap.map(|inside| self.hand_down(inside));
        let local = self.place.start(start, bootstrap)?;
        Ok(capnp_rpc::new_client(Process::new(cell, local)))
    }

    /// Reserves a place among the compilations, before anything is copied.
    fn compilation(&self) -> Result<Compilation<'_>, Error> {
        let count = self.compiling.get();
        if count == MOST_COMPILING {
            return Err(Error::overloaded(format!(
                "{count} calls of this executor wait for a compilation already"
            )));
        }
        self.compiling.set(count + 1);
        Ok(Compilation(&self.compiling))
    }

    /// Reserves a place among the programs that are held.
    fn holding(self: &Rc<Self>) -> Result<Holding, Error> {
        let count = self.programs.get();
        if count == MOST_PROGRAMS {
            return Err(Error::overloaded(format!(
                "{count} programs of this executor are held already"
            )));
        }
        self.programs.set(count + 1);
        Ok(Holding(self.clone()))
    }

    /// Compiles what came over the wire.
    async fn compiled(&self, wasm: Bytes) -> Result<Program, Error> {
        let _turn = self.turn.lock().await;
        Ok(self.runtime.compile(wasm).await?)
    }

    fn hand_down<C: FromClientHook>(&self, inside: C) -> C {
        match &self.membrane {
            Some(membrane) => membrane.wrap(inside),
            None => inside,
        }
    }
}

impl Drop for Compilation<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Holding {
    pub(super) fn spawner(&self) -> &Spawner {
        &self.0
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.programs.set(self.0.programs.get() - 1);
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
        let compilation = self.compilation()?;
        let (wasm, options) = {
            let params = params.get()?;
            let options =
                Options::parse(params.get_args()?, params.get_env()?, Transport::default())?;
            (Bytes::copy_from_slice(params.get_wasm()?), options)
        };
        drop(params);
        let program = self.compiled(wasm).await?;
        drop(compilation);
        // Made anew for each child, because a spawner that held its own host
        // would hold itself.
        let host = Host::new(self.clone()).client();
        let process = self.spawn(program, options, Some(host.cast_to())).await?;
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
        let (holding, compilation) = (self.holding()?, self.compilation()?);
        let wasm = Bytes::copy_from_slice(params.get()?.get_wasm()?);
        drop(params);
        let program = self.compiled(wasm).await?;
        drop(compilation);
        let compiled = Compiled::new(holding, program);
        results.get().set_program(capnp_rpc::new_client(compiled));
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
