//! Cells, as an application runs them.

use std::path::Path;
use std::time::Duration;

use futures_lite::AsyncReadExt;
use futures_lite::future::{block_on, zip};
use ww_core::cell::{Builder, Cell, Input, Output};
use ww_core::clock::Clock;
use ww_core::session::Wetware;
use ww_core::{Program, Runtime};
use ww_membrane::{Admission, Epoch, Epochs, membrane};
use ww_rpc::membrane_capnp::wetware_session;

use crate::Outcome;
use crate::calls::{self, Shape};
use crate::time::{Asked, Thread};

/// What a guest bootstraps with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// An `Executor`, bare.
    Executor,
    /// A `Membrane`, whose session holds one.
    Membrane,
}

/// A cell's whole life, on this thread.
///
/// # Errors
///
/// It fails.
pub fn driven(builder: Builder) -> Outcome<()> {
    block_on(async {
        let (cell, start) = builder.prepare().await?;
        start.drive().await;
        succeed(&cell).await
    })
}

/// How long a cell's life takes, on this thread, until its guest looks at its
/// clock for the last time.
///
/// # Errors
///
/// It fails.
pub fn until_asked(builder: Builder) -> Outcome<Duration> {
    let asked = Asked::default();
    let start = Thread.now();
    driven(builder.clock(asked.clone()))?;
    Ok(asked.at() - start)
}

/// A cell's whole life, on a worker of its runtime.
///
/// # Errors
///
/// It fails.
pub fn spawned(builder: Builder) -> Outcome<()> {
    block_on(async {
        let cell = builder.spawn().await?;
        succeed(&cell).await
    })
}

/// A cell of the image in `path`.
pub fn of_image(runtime: &Runtime, path: &Path) -> Builder {
    Builder::new().runtime(runtime).image(path)
}

/// A cell that speaks RPC, but makes no call: it looks at its clock, and is
/// done.
pub fn starting(program: &Program, runtime: &Runtime) -> Builder {
    caller(program, runtime, Authority::Executor).args(["start"])
}

/// A cell that makes one call to its host, and looks at its clock when it has
/// the answer.
pub fn calling_once(program: &Program, runtime: &Runtime) -> Builder {
    caller(program, runtime, Authority::Executor).args(["seq", "1", "64"])
}

/// How long a guest's calls took by the guest's own clock, which is this
/// thread's processor time.
///
/// # Errors
///
/// A call failed.
pub fn guest_to_host(
    program: &Program,
    runtime: &Runtime,
    authority: Authority,
    shape: Shape,
    calls: u64,
) -> Outcome<Duration> {
    let mut args = match authority {
        Authority::Executor => Vec::new(),
        Authority::Membrane => vec!["membrane".to_owned()],
    };
    let (calls, bytes) = (calls.to_string(), shape.bytes.to_string());
    match shape.in_flight {
        1 => args.extend(["seq".into(), calls, bytes]),
        many => args.extend(["flight".into(), calls, bytes, many.to_string()]),
    }
    let builder = caller(program, runtime, authority)
        .args(args)
        .clock(Thread)
        .stdout(Output::piped());
    block_on(async {
        let (cell, start) = builder.prepare().await?;
        let mut stdout = cell.take_stdout().ok_or("stdout is not piped")?;
        start.drive().await;
        succeed(&cell).await?;
        let mut nanos = String::new();
        stdout.read_to_string(&mut nanos).await?;
        Ok(Duration::from_nanos(nanos.trim().parse()?))
    })
}

/// How long calls from the host to what a guest exports took.
///
/// # Errors
///
/// A call failed.
pub fn host_to_guest(program: &Program, shape: Shape, calls: u64) -> Outcome<Duration> {
    let builder = Builder::new()
        .program(program.clone())
        .stdin(Input::piped());
    block_on(async {
        let (cell, start) = builder.prepare().await?;
        let stdin = cell.take_stdin();
        let measured = async {
            let took = cell.with(move |local| async move {
                Ok(calls::make(&local.exported(), shape, calls).await)
            });
            let took = took.await;
            drop(stdin);
            took
        };
        let ((), took) = zip(start.drive(), measured).await;
        succeed(&cell).await?;
        Ok(took??)
    })
}

fn caller(program: &Program, runtime: &Runtime, authority: Authority) -> Builder {
    let runtime = runtime.clone();
    let builder = Builder::new().program(program.clone());
    match authority {
        Authority::Executor => builder.bootstrap(move |_| Ok(calls::server(&runtime))),
        Authority::Membrane => builder.bootstrap(move |local| {
            let session = Wetware::new(local, &runtime, calls::network());
            let epochs = Epochs::new(Epoch::default());
            Ok(membrane::<wetware_session::Owned>(
                epochs,
                Admission::open(),
                session,
            ))
        }),
    }
}

async fn succeed(cell: &Cell) -> Outcome<()> {
    match cell.wait().await?.code() {
        0 => Ok(()),
        code => Err(format!("the guest exited with {code}").into()),
    }
}
