//! An inside to be wrapped, and the ways to get from outside to it.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test takes what it needs"
)]

pub mod hostile;
pub mod said;
pub mod steps;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind};
use futures_lite::future::{block_on, or, yield_now, zip};
use ww_membrane::{Epoch, Epochs, Membrane};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{executor, host, process};
use ww_rpc::{Limits, Side, Vat};

/// How the outside reaches the inside.
#[derive(Clone, Copy, Debug)]
pub enum Transport {
    /// Both on one thread, no connection.
    Local,
    /// The wrapper is exported over a connection.
    Exported,
    /// What is wrapped is imported over a connection.
    Imported,
}

pub const TRANSPORTS: [Transport; 3] = [Transport::Local, Transport::Exported, Transport::Imported];

/// Runs `test` with the wrapper of `inside`, as the outside has it.
pub fn over<C, F>(transport: Transport, membrane: &Membrane, inside: C, test: impl FnOnce(C) -> F)
where
    C: FromClientHook,
    F: Future<Output = ()>,
{
    match transport {
        Transport::Local => block_on(test(membrane.wrap(inside))),
        Transport::Exported => connected(membrane.wrap(inside), test),
        Transport::Imported => connected(inside, |inside| test(membrane.wrap(inside))),
    }
}

/// Runs `test` with `exported`, as the other side of a connection has it.
pub fn connected<C, F>(exported: C, test: impl FnOnce(C) -> F)
where
    C: FromClientHook,
    F: Future<Output = ()>,
{
    let (up, up_end) = piper::pipe(1 << 16);
    let (down, down_end) = piper::pipe(1 << 16);
    let bootstrap = exported.cast_to();
    let server = Vat::new(
        up,
        down_end,
        Side::Server,
        Some(bootstrap),
        Limits::default(),
    );
    let mut client = Vat::new(down, up_end, Side::Client, None, Limits::default());
    let test = test(client.bootstrap());
    block_on(or(test, async {
        let ended = zip(server, client).await;
        panic!("connection ended: {ended:?}");
    }));
}

pub fn epoch(seq: u64) -> Epoch {
    Epoch {
        seq,
        head: vec![seq as u8],
        adopted_block: seq * 10,
    }
}

pub fn standing() -> (Epochs, Membrane) {
    let epochs = Epochs::new(epoch(1));
    let membrane = Membrane::new(epochs.guard());
    (epochs, membrane)
}

/// Waits for what the next messages of a connection bring.
pub async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        yield_now().await;
    }
}

pub fn assert_stale<T>(outcome: Result<T, Error>, case: &str) {
    let Err(error) = outcome else {
        panic!("{case}: went through")
    };
    assert_eq!(error.kind, ErrorKind::Disconnected, "{case}: {error}");
    assert!(error.extra.contains("staleEpoch"), "{case}: {error}");
}

pub async fn id(host: &host::Client) -> Result<Vec<u8>, Error> {
    let answer = host.id_request().send().promise.await?;
    Ok(answer.get()?.get_peer_id()?.to_vec())
}

pub async fn echo(executor: &executor::Client, message: &str) -> Result<String, Error> {
    let mut request = executor.echo_request();
    request.get().set_message(message);
    let answer = request.send().promise.await?;
    Ok(answer.get()?.get_response()?.to_string()?)
}

/// What an inside has seen.
#[derive(Clone, Default)]
pub struct Seen(Rc<Tally>);

#[derive(Default)]
pub struct Tally {
    pub calls: Cell<usize>,
    pub waiting: Cell<usize>,
    pub dropped: Cell<usize>,
    pub callback: RefCell<Option<host::Client>>,
}

impl std::ops::Deref for Seen {
    type Target = Tally;
    fn deref(&self) -> &Tally {
        &self.0
    }
}

impl Seen {
    /// How many hold it, the test included.
    pub fn holders(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    /// Polls `call` until it waits inside, for ever.
    pub async fn hanging(&self, call: &mut (impl Future + Unpin)) {
        or(until(|| self.waiting.get() == 1), async {
            call.await;
        })
        .await;
    }

    fn call(&self) {
        self.calls.set(self.calls.get() + 1);
    }

    /// Never answers, and notes that it is waited for.
    async fn wait(&self) {
        struct Waiting(Seen);
        impl Drop for Waiting {
            fn drop(&mut self) {
                self.0.waiting.set(self.0.waiting.get() - 1);
            }
        }
        self.waiting.set(self.waiting.get() + 1);
        let _waiting = Waiting(self.clone());
        pending::<()>().await;
    }
}

/// `id` answers, `addrs` never does, `executor` answers with the executor it
/// was made with, or null.
pub struct Peer {
    pub seen: Seen,
    pub executor: Option<executor::Client>,
}

pub struct Runner(pub Seen);

pub fn peer(seen: &Seen) -> host::Client {
    capnp_rpc::new_client(Peer {
        seen: seen.clone(),
        executor: Some(capnp_rpc::new_client(Runner(seen.clone()))),
    })
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.seen.dropped.set(self.seen.dropped.get() + 1);
    }
}

impl host::Server for Peer {
    async fn id(
        self: Rc<Self>,
        _: host::IdParams,
        mut results: host::IdResults,
    ) -> Result<(), Error> {
        self.seen.call();
        results.get().set_peer_id(b"peer");
        Ok(())
    }

    async fn addrs(
        self: Rc<Self>,
        _: host::AddrsParams,
        _: host::AddrsResults,
    ) -> Result<(), Error> {
        self.seen.wait().await;
        Ok(())
    }

    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), Error> {
        self.seen.call();
        if let Some(executor) = &self.executor {
            results.get().set_executor(executor.clone());
        }
        Ok(())
    }
}

impl executor::Server for Runner {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), Error> {
        self.0.call();
        let message = params.get()?.get_message()?.to_string()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

/// Keeps the bootstrap capability that `spawn` hands it, and answers with it
/// as the process's.
pub struct Keeper(pub Seen);

impl program::Server for Keeper {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let callback: host::Client = params.get()?.get_bootstrap().get_as_capability()?;
        *self.0.callback.borrow_mut() = Some(callback);
        results
            .get()
            .set_process(capnp_rpc::new_client(Kept(self.0.clone())));
        Ok(())
    }
}

struct Kept(Seen);

impl process::Server for Kept {
    async fn bootstrap(
        self: Rc<Self>,
        _: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Result<(), Error> {
        let kept = self.0.callback.borrow().clone();
        let kept = kept.ok_or_else(|| Error::failed("nothing was kept".into()))?;
        results.get().init_cap().set_as_capability(kept.client.hook);
        Ok(())
    }
}
