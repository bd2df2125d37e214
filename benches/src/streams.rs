//! Bytes into and out of cells, as streams of WASI and as capabilities.

use std::cell::RefCell;
use std::time::Duration;

use futures::io::{repeat, sink};
use futures_lite::future::{block_on, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use ww_core::cell::{Builder, Cell, Input, Output};
use ww_core::clock::Clock;
use ww_core::{Program, pipe, serve};
use ww_rpc::peer_capnp::byte_stream;

use crate::Outcome;
use crate::time::Thread;

/// Bytes of one iteration.
pub const PART: u64 = 64 << 10;

/// Bytes that wait between two cells.
const BETWEEN: usize = 256 << 10;

/// Where a guest's bytes go to, or come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its standard streams.
    Raw,
    /// A `ByteStream`.
    Capability,
}

thread_local! {
    /// What one cell hands to the next: capabilities do not leave their thread.
    static HANDED: RefCell<Option<byte_stream::Client>> = const { RefCell::new(None) };
}

/// How long a guest takes to get rid of so many parts.
///
/// # Errors
///
/// The guest failed.
pub fn out_of_guest(pours: &Program, way: Way, parts: u64) -> Outcome<Duration> {
    let builder = match way {
        Way::Raw => cell(pours, "out", parts).stdout(Output::writer(sink())),
        Way::Capability => cell(pours, "push", parts).bootstrap(|_| Ok(serve::sink(sink()))),
    };
    block_on(timed(builder))
}

/// How long a guest takes to take in so many parts.
///
/// # Errors
///
/// The guest failed.
pub fn into_guest(pours: &Program, way: Way, parts: u64) -> Outcome<Duration> {
    let bytes = parts * PART;
    let builder = match way {
        Way::Raw => cell(pours, "in", parts).stdin(Input::reader(repeat(1).take(bytes))),
        Way::Capability => {
            cell(pours, "pull", parts).bootstrap(move |_| Ok(serve::source(repeat(1).take(bytes))))
        }
    };
    block_on(timed(builder))
}

/// How long it takes for so many parts to get from one guest to another on the
/// same thread, through this host.
///
/// # Errors
///
/// A guest failed.
pub fn from_guest_to_guest(pours: &Program, way: Way, parts: u64) -> Outcome<Duration> {
    block_on(async {
        match way {
            Way::Raw => {
                let (writer, reader) = pipe::pipe(BETWEEN);
                let from = cell(pours, "out", parts).stdout(Output::writer(writer));
                let to = cell(pours, "in", parts).stdin(Input::reader(reader));
                let (took, _) = zip(timed(to), timed(from)).await;
                took
            }
            Way::Capability => {
                let from = cell(pours, "gives", parts).stdin(Input::piped());
                let (giver, start) = from.prepare().await?;
                let taken = async {
                    let stdin = giver.take_stdin();
                    giver
                        .with(|local| async move {
                            HANDED.set(Some(local.exported()));
                            Ok(())
                        })
                        .await?;
                    let to = cell(pours, "pull", parts)
                        .bootstrap(|_| HANDED.take().ok_or(ww_core::Error::Ended { why: None }));
                    let took = timed(to).await;
                    drop(stdin);
                    took
                };
                let ((), took) = zip(start.drive(), taken).await;
                succeed(&giver).await?;
                took
            }
        }
    })
}

/// How long it takes to say 64 bytes to a guest and to hear them again, so
/// often, where it reads and writes by this `runtime`'s loop.
///
/// # Errors
///
/// The guest failed.
pub fn echo(echoes: &Program, runtime: &str, times: u64) -> Outcome<Duration> {
    let builder = Builder::new().program(echoes.clone()).args([runtime]);
    let builder = builder.stdin(Input::piped()).stdout(Output::piped());
    block_on(async {
        let (cell, start) = builder.prepare().await?;
        let mut stdin = cell.take_stdin().ok_or("stdin is not piped")?;
        let mut stdout = cell.take_stdout().ok_or("stdout is not piped")?;
        let spoken = async {
            let (said, mut heard) = ([7; 64], [0; 64]);
            let begun = Thread.now();
            for _ in 0..times {
                stdin.write_all(&said).await?;
                stdout.read_exact(&mut heard).await?;
            }
            let took = Thread.now() - begun;
            drop(stdin);
            Ok::<_, std::io::Error>(took)
        };
        let ((), took) = zip(start.drive(), spoken).await;
        succeed(&cell).await?;
        Ok(took?)
    })
}

fn cell(pours: &Program, verb: &str, parts: u64) -> Builder {
    Builder::new()
        .program(pours.clone())
        .args([verb, &(parts * PART).to_string()])
        .clock(Thread)
        .stderr(Output::piped())
}

/// Runs a cell, and answers what its guest says that it took.
async fn timed(builder: Builder) -> Outcome<Duration> {
    let (cell, start) = builder.prepare().await?;
    let mut stderr = cell.take_stderr().ok_or("stderr is not piped")?;
    let mut said = String::new();
    let ((), read) = zip(start.drive(), stderr.read_to_string(&mut said)).await;
    read?;
    succeed(&cell)
        .await
        .map_err(|error| format!("{error}: {said}"))?;
    Ok(Duration::from_nanos(said.trim().parse()?))
}

async fn succeed(cell: &Cell) -> Outcome<()> {
    match cell.wait().await?.code() {
        0 => Ok(()),
        code => Err(format!("the guest exited with {code}").into()),
    }
}
