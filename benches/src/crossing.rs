//! Calls between two sides of one thread, with and without a membrane between
//! them.

use std::rc::Rc;
use std::time::Duration;

use capnp::Error;
use capnp::capability::{Client, FromClientHook};
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;
use ww_core::clock::Clock;
use ww_core::pipe;
use ww_membrane::Membrane;
use ww_membrane::policies::Allow;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{executor, host, process};
use ww_rpc::{Limits, Side, Vat};

use crate::Outcome;
use crate::time::{self, Thread};

/// Bytes that each direction of a connection holds.
const BOUND: usize = 256 << 10;

/// What stands between the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Nothing.
    Nothing,
    /// A membrane without a policy.
    Membrane,
    /// A membrane that allows the methods that are called.
    Allow,
    /// Two membranes, one behind the other.
    Two,
}

/// Where the two sides are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On one thread, with no connection.
    Local,
    /// The membrane is where the inside is, and calls come over a connection.
    Exported,
    /// The membrane is where the caller is, and calls go over a connection.
    Imported,
    /// Calls come over one connection and go on over another.
    Forwarded,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// 64 bytes there and back.
    Bytes,
    /// A capability there and another back.
    Capabilities,
    /// A call on the promised result of a call.
    Pipelined,
}

impl Between {
    fn wrap<C: FromClientHook>(self, inside: C) -> C {
        match self {
            Self::Nothing => inside,
            Self::Membrane => Membrane::ungated().wrap(inside),
            Self::Allow => Membrane::policed(
                Allow::new()
                    .method(executor::Client::echo_request)
                    .method(program::Client::spawn_request)
                    .method(host::Client::executor_request),
            )
            .wrap(inside),
            Self::Two => Self::Allow.wrap(Self::Membrane.wrap(inside)),
        }
    }
}

impl Place {
    /// Makes `count` calls, one at a time, and says how long they took in this
    /// thread's processor time.
    ///
    /// # Errors
    ///
    /// A call failed.
    pub fn calls(self, between: Between, call: Call, count: u64) -> Outcome<Duration> {
        let inside: Client = match call {
            Call::Bytes => capnp_rpc::new_client::<executor::Client, _>(Inside).cast_to(),
            Call::Capabilities => capnp_rpc::new_client::<program::Client, _>(Inside).cast_to(),
            Call::Pipelined => capnp_rpc::new_client::<host::Client, _>(Inside).cast_to(),
        };
        let pool = &mut LocalPool::new();
        let outside = match self {
            Self::Local => between.wrap(inside),
            Self::Exported => connect(pool, between.wrap(inside))?,
            Self::Imported => between.wrap(connect(pool, inside)?),
            Self::Forwarded => {
                let import = connect(pool, inside)?;
                connect(pool, between.wrap(import))?
            }
        };
        Ok(pool.run_until(async move {
            call.make(&outside).await?;
            let start = Thread.now();
            for _ in 0..count {
                call.make(&outside).await?;
            }
            Ok::<_, Error>(Thread.now() - start)
        })?)
    }
}

/// How long it takes to make so many capabilities and to hand them out.
///
/// # Errors
///
/// There are more than memory has addresses for.
pub fn hand_out(between: Between, count: u64) -> Outcome<Duration> {
    let membrane = Membrane::ungated();
    let made = (0..count).map(|_| capnp_rpc::new_client::<executor::Client, _>(Inside));
    let mut given = Vec::with_capacity(usize::try_from(count)?);
    time::cpu(|| {
        match between {
            Between::Nothing => given.extend(made),
            _ => given.extend(made.map(|inside| membrane.wrap(inside))),
        }
        Ok(())
    })
}

/// How long it takes to take so many capabilities back: to revoke a membrane
/// that they were handed out through, or to drop as many bare ones.
///
/// # Errors
///
/// Never.
pub fn take_back(between: Between, count: usize, times: u64) -> Outcome<Duration> {
    let mut took = Duration::ZERO;
    for _ in 0..times {
        let membrane = Membrane::ungated();
        let mut given: Vec<executor::Client> = (0..count)
            .map(|_| capnp_rpc::new_client(Inside))
            .map(|inside| match between {
                Between::Nothing => inside,
                _ => membrane.wrap(inside),
            })
            .collect();
        took += time::cpu(|| {
            match between {
                Between::Nothing => given.clear(),
                _ => membrane.revoke(Error::disconnected("enough".into())),
            }
            Ok(())
        })?;
    }
    Ok(took)
}

/// What one vat has of the bootstrap capability of another.
fn connect(pool: &LocalPool, exported: Client) -> Outcome<Client> {
    let (to_server, from_client) = pipe::pipe(BOUND);
    let (to_client, from_server) = pipe::pipe(BOUND);
    let limits = Limits::default();
    let server = Vat::new(from_client, to_client, Side::Server, Some(exported), limits);
    let mut client = Vat::new(from_server, to_server, Side::Client, None, limits);
    let imported = client.bootstrap();
    for vat in [server, client] {
        // However the connection ends, the calls have been answered by then.
        let spawned = async move { drop(vat.await) };
        pool.spawner().spawn_local(spawned)?;
    }
    Ok(imported)
}

impl Call {
    async fn make(self, outside: &Client) -> Result<(), Error> {
        let hook = outside.hook.add_ref();
        match self {
            Self::Bytes => {
                let outside: executor::Client = FromClientHook::new(hook);
                echo(&outside).await
            }
            Self::Capabilities => {
                let outside: program::Client = FromClientHook::new(hook);
                let own: executor::Client = capnp_rpc::new_client(Inside);
                let mut request = outside.spawn_request();
                let mut given = request.get().init_bootstrap();
                given.set_as_capability(own.client.hook);
                let answer = request.send().promise.await?;
                answer.get()?.get_process().map(drop)
            }
            Self::Pipelined => {
                let outside: host::Client = FromClientHook::new(hook);
                let sent = outside.executor_request().send();
                echo(&sent.pipeline.get_executor()).await
            }
        }
    }
}

async fn echo(executor: &executor::Client) -> Result<(), Error> {
    let mut request = executor.echo_request();
    request.get().set_message("x".repeat(64));
    let answer = request.send().promise.await?;
    match answer.get()?.get_response()?.len() {
        64 => Ok(()),
        other => Err(Error::failed(format!("the answer has {other} bytes"))),
    }
}

/// Answers every call that is measured.
struct Inside;

impl executor::Server for Inside {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), Error> {
        let message = params.get()?.get_message()?;
        results.get().set_response(message);
        Ok(())
    }
}

impl program::Server for Inside {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let _given: Client = params.get()?.get_bootstrap().get_as_capability()?;
        let process: process::Client = capnp_rpc::new_client(Self);
        results.get().set_process(process);
        Ok(())
    }
}

impl process::Server for Inside {}

impl host::Server for Inside {
    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), Error> {
        results.get().set_executor(capnp_rpc::new_client(Self));
        Ok(())
    }
}
