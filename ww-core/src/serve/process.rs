use std::cell::{OnceCell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::{fmt, io};

use capnp::Error;
use capnp::capability::Client;
use futures::AsyncRead;
use ww_membrane::Membrane;
use ww_rpc::peer_capnp::byte_stream;
use ww_rpc::peer_capnp::process::{
    self, BootstrapParams, BootstrapResults, ExecutorParams, ExecutorResults, KillParams,
    KillResults, StderrParams, StderrResults, StdinParams, StdinResults, StdoutParams,
    StdoutResults, UsageParams, UsageResults, WaitParams, WaitResults,
};
use ww_rpc::stream::{Sink, Source};

use super::Spawner;
use super::quota::Held;
use crate::cell::{Cell, Local};
use crate::pipe;

/// The server of the wire's `Process`: a running cell, as held by its parent.
pub(super) struct Process {
    child: Rc<Child>,
    spawner: Rc<Spawner>,
    /// Has the parent's session take the child's exports for those of somebody outside
    /// of it, as the parent is: they would go to the parent bare otherwise, as what comes
    /// back, and outlive the session. Made when they are first asked for.
    inside: OnceCell<Membrane>,
    stdin: RefCell<Stdin>,
    stdout: Output,
    stderr: Output,
}

/// What keeps a cell alive: its process, the calls on it, and its streams each
/// hold this. The last to go kills the cell.
struct Child {
    cell: Cell,
    local: Local,
    stdout: Option<pipe::Reader>,
    stderr: Option<pipe::Reader>,
    _program: Rc<Held>,
}

/// The write end of a cell's standard input. Not part of the child, so that it
/// closes with the last who could write to it.
enum Stdin {
    /// It carries the cell's RPC connection.
    Rpc,
    /// Nobody asked for it yet.
    Idle(pipe::Writer),
    Taken(Weak<Sink<pipe::Writer, Rc<Child>>>),
}

/// One of a cell's outputs.
struct Output {
    name: &'static str,
    reader: fn(&Child) -> &Option<pipe::Reader>,
    tapped: RefCell<Weak<Source<Tap, Rc<Child>>>>,
}

/// Somebody listens to an output, until this is dropped.
struct Tap {
    child: Rc<Child>,
    reader: fn(&Child) -> &Option<pipe::Reader>,
}

impl Process {
    /// The parent's view of `cell`, of whose standard streams all that do not
    /// carry RPC are piped. What the parent hands to the cell by calls passes the
    /// membrane of `spawner`, as what it hands down does.
    pub(super) fn new(cell: Cell, local: Local, program: Rc<Held>, spawner: Rc<Spawner>) -> Self {
        let stdin = cell.take_stdin();
        let lossy = |reader: &pipe::Reader| reader.set_lossy(true);
        let child = Child {
            stdout: cell.take_stdout().inspect(lossy),
            stderr: cell.take_stderr().inspect(lossy),
            cell,
            local,
            _program: program,
        };
        Self {
            child: Rc::new(child),
            spawner,
            inside: OnceCell::new(),
            stdin: RefCell::new(stdin.map_or(Stdin::Rpc, Stdin::Idle)),
            stdout: Output::new("standard output", |child| &child.stdout),
            stderr: Output::new("standard error", |child| &child.stderr),
        }
    }
}

impl Stdin {
    /// The same stream for everyone who asks while it is held.
    fn open(&mut self, child: &Rc<Child>) -> Result<byte_stream::Client, Error> {
        const NAME: &str = "standard input";
        let taken = std::mem::replace(self, Self::Taken(Weak::new()));
        let sink = match taken {
            Self::Rpc => {
                *self = Self::Rpc;
                return Err(taken_by_rpc(NAME));
            }
            Self::Idle(writer) => Rc::new(Sink::new(NAME, writer, child.clone())),
            Self::Taken(sink) => sink
                .upgrade()
                .ok_or_else(|| Error::failed(format!("{NAME} is closed")))?,
        };
        *self = Self::Taken(Rc::downgrade(&sink));
        Ok(sink.client())
    }
}

impl Output {
    fn new(name: &'static str, reader: fn(&Child) -> &Option<pipe::Reader>) -> Self {
        Self {
            name,
            reader,
            tapped: RefCell::default(),
        }
    }

    /// The same stream for everyone who asks while it is open, a new one later.
    fn open(&self, child: &Rc<Child>) -> Result<byte_stream::Client, Error> {
        let open = self.tapped.borrow().upgrade();
        if let Some(source) = open.filter(|source| !source.is_closed()) {
            return Ok(source.client());
        }
        let reader = self.reader;
        let piped = reader(child).as_ref();
        piped
            .ok_or_else(|| taken_by_rpc(self.name))?
            .set_lossy(false);
        let tap = Tap {
            child: child.clone(),
            reader,
        };
        let source = Rc::new(Source::new(self.name, tap, child.clone()));
        self.tapped.replace(Rc::downgrade(&source));
        Ok(source.client())
    }
}

fn taken_by_rpc(name: &str) -> Error {
    Error::failed(format!("{name} carries the cell's RPC connection"))
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(reader) = (self.reader)(&self.child) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            if let Some(read) = reader.try_read(into) {
                return Poll::Ready(Ok(read));
            }
            // Bytes may have arrived in between, hence the loop.
            if reader.poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(reader) = (self.reader)(&self.child) {
            reader.set_lossy(true);
        }
    }
}

impl process::Server for Process {
    async fn stdin(self: Rc<Self>, _: StdinParams, mut results: StdinResults) -> Result<(), Error> {
        let stream = self.stdin.borrow_mut().open(&self.child)?;
        results.get().set_stream(stream);
        Ok(())
    }

    async fn stdout(
        self: Rc<Self>,
        _: StdoutParams,
        mut results: StdoutResults,
    ) -> Result<(), Error> {
        results.get().set_stream(self.stdout.open(&self.child)?);
        Ok(())
    }

    async fn stderr(
        self: Rc<Self>,
        _: StderrParams,
        mut results: StderrResults,
    ) -> Result<(), Error> {
        results.get().set_stream(self.stderr.open(&self.child)?);
        Ok(())
    }

    async fn wait(self: Rc<Self>, _: WaitParams, mut results: WaitResults) -> Result<(), Error> {
        let exit = self.child.cell.wait().await.map_err(told)?;
        if let Some(error) = exit.rpc_error()
            && self.child.cell.shared.meter.exceeded().is_some()
        {
            return Err(Error::overloaded(format!(
                "the cell exited with {} after its RPC connection was ended: {}",
                exit.code(),
                error.extra
            )));
        }
        results.get().set_exit_code(exit.code());
        Ok(())
    }

    async fn bootstrap(
        self: Rc<Self>,
        _: BootstrapParams,
        mut results: BootstrapResults,
    ) -> Result<(), Error> {
        let mut exported: Client = self.child.local.exported();
        if let Some(session) = self.spawner.around() {
            let inside = self.inside.get_or_init(Membrane::ungated);
            exported = inside.wrap(session.wrap_reverse(exported));
        }
        results.get().init_cap().set_as_capability(exported.hook);
        Ok(())
    }

    async fn kill(self: Rc<Self>, _: KillParams, _: KillResults) -> Result<(), Error> {
        self.child.cell.kill();
        // However it ended: it has.
        let _ = self.child.cell.wait().await;
        Ok(())
    }

    async fn usage(self: Rc<Self>, _: UsageParams, mut results: UsageResults) -> Result<(), Error> {
        let used = self.child.cell.usage();
        let mut usage = results.get().init_usage();
        usage.set_busy_nanos(used.busy.as_nanos().try_into().unwrap_or(u64::MAX));
        usage.set_memory_bytes(used.memory as u64);
        usage.set_peak_memory_bytes(used.peak_memory as u64);
        usage.set_stdio_bytes_in(used.stdio_in);
        usage.set_stdio_bytes_out(used.stdio_out);
        usage.set_rpc_bytes_in(used.rpc_in);
        usage.set_rpc_bytes_out(used.rpc_out);
        usage.set_calls_in(used.calls_in);
        usage.set_calls_out(used.calls_out);
        usage.set_interruptions(used.interruptions);
        usage.set_busy_below_nanos(used.busy_below.as_nanos().try_into().unwrap_or(u64::MAX));
        usage.set_memory_below_bytes(used.memory_below as u64);
        usage.set_scratch_bytes(used.scratch);
        usage.set_scratch_below_bytes(used.scratch_below);
        usage.set_children(used.children.try_into().unwrap_or(u32::MAX));
        if let Some(limit) = used.refused {
            usage.set_refused(limit.to_string());
        }
        if let Some(limit) = used.refused_below {
            usage.set_refused_below(limit.to_string());
        }
        Ok(())
    }

    async fn executor(
        self: Rc<Self>,
        _: ExecutorParams,
        mut results: ExecutorResults,
    ) -> Result<(), Error> {
        let below = Rc::new(self.spawner.below(&self.child.local));
        results.get().set_executor(below.client());
        Ok(())
    }
}

/// Why a cell did not exit by itself, with where its guest was.
fn told(error: crate::Error) -> Error {
    let trace = match &error {
        crate::Error::Trap { backtrace, .. } if !backtrace.is_empty() => format!("\n{backtrace}"),
        _ => String::new(),
    };
    let mut error = Error::from(error);
    error.extra.push_str(&trace);
    error
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("usage", &self.child.cell.usage())
            .finish_non_exhaustive()
    }
}
