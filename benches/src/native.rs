//! Two native vats on one thread: the peer of a cell that speaks RPC.

use std::future::Future;
use std::time::Duration;

use capnp::capability::{Client, FromClientHook};
use capnp::message::ReaderOptions;
use capnp_rpc::RpcSystem;
use capnp_rpc::twoparty::VatNetwork;
use futures::executor::{LocalPool, LocalSpawner};
use futures::future::LocalBoxFuture;
use futures::io::{BufReader, BufWriter};
use futures::task::LocalSpawnExt;
use ww_core::Runtime;
use ww_core::pipe::{self, Reader, Writer};
use ww_rpc::peer_capnp::executor;
use ww_rpc::{Limits, Side, Vat};

use crate::Outcome;
use crate::calls::{self, Shape};

/// Bytes that each direction holds, as many as a cell's connection.
const BOUND: usize = 256 << 10;

/// What a vat is made with.
struct Ends {
    reader: Reader,
    writer: Writer,
    side: Side,
    bootstrap: Option<Client>,
}

/// The other's bootstrap, and what lets go of the connection.
type Opened = (executor::Client, LocalBoxFuture<'static, ()>);

/// Makes calls over capnp-rpc's own two-party network, with the buffers that
/// its own examples put around the streams.
///
/// # Errors
///
/// A call failed.
pub fn stock(runtime: &Runtime, shape: Shape, calls: u64) -> Outcome<Duration> {
    between(runtime, shape, calls, |ends, pool| {
        let (other, options) = (other(ends.side), ReaderOptions::new());
        let (reader, writer) = (BufReader::new(ends.reader), BufWriter::new(ends.writer));
        let network = VatNetwork::new(reader, writer, ends.side, options);
        let mut system = RpcSystem::new(Box::new(network), ends.bootstrap);
        let client = system.bootstrap(other);
        let disconnector = system.get_disconnector();
        spawn(pool, system)?;
        Ok((client, Box::pin(async move { drop(disconnector.await) })))
    })
}

/// Makes calls over two of our own vats.
///
/// # Errors
///
/// A call failed.
pub fn ours(runtime: &Runtime, shape: Shape, calls: u64) -> Outcome<Duration> {
    between(runtime, shape, calls, |ends, pool| {
        let (side, limits) = (ends.side, Limits::default());
        let mut vat = Vat::new(ends.reader, ends.writer, side, ends.bootstrap, limits);
        let client = vat.bootstrap();
        spawn(pool, vat)?;
        // The pool takes the vats with it, and they let go by themselves.
        Ok((client, Box::pin(std::future::ready(()))))
    })
}

/// Connects two vats that `open` makes, and makes calls from one to the other.
fn between(
    runtime: &Runtime,
    shape: Shape,
    calls: u64,
    mut open: impl FnMut(Ends, &LocalSpawner) -> Outcome<Opened>,
) -> Outcome<Duration> {
    let mut pool = LocalPool::new();
    let (to_server, from_client) = pipe::pipe(BOUND);
    let (to_client, from_server) = pipe::pipe(BOUND);
    let server = Ends {
        reader: from_client,
        writer: to_client,
        side: Side::Server,
        bootstrap: Some(Client::new(calls::server(runtime).into_client_hook())),
    };
    let client = Ends {
        reader: from_server,
        writer: to_server,
        side: Side::Client,
        bootstrap: None,
    };
    let _server = open(server, &pool.spawner())?;
    let (echo, disconnected) = open(client, &pool.spawner())?;
    let took = pool.run_until(calls::make(&echo, shape, calls))?;
    drop(echo);
    pool.run_until(disconnected);
    pool.run_until_stalled();
    Ok(took)
}

fn spawn(
    pool: &LocalSpawner,
    vat: impl Future<Output = Result<(), capnp::Error>> + 'static,
) -> Outcome<()> {
    // However the connection ends, the calls have been answered by then.
    Ok(pool.spawn_local(async move { drop(vat.await) })?)
}

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}
