//! Two vats in one test, polled by hand until nothing wakes them any more.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

pub mod peer;
pub mod shared;

use std::cell::RefCell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use capnp::capability::{Client, FromClientHook, Promise, RemotePromise};
use capnp::message::Builder;
use capnp_rpc::rpc_capnp::message;
use futures_lite::future::yield_now;
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::{Limits, Side, Vat};

pub type Outcome = Result<(), capnp::Error>;

/// A future that is polled in company, and what became of it.
pub struct Slot<T> {
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
    pub output: Option<T>,
}

impl<T> Slot<T> {
    pub fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self {
            future: Some(Box::pin(future)),
            output: None,
        }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) {
        let ready = self.future.as_mut().map(|future| future.as_mut().poll(cx));
        if let Some(std::task::Poll::Ready(output)) = ready {
            self.future = None;
            self.output = Some(output);
        }
    }

    pub fn cancel(&mut self) {
        self.future = None;
    }
}

#[derive(Default)]
pub struct Wakes(pub AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls once, and then again for as long as something woke meanwhile.
pub fn settle(mut poll: impl FnMut(&mut Context<'_>)) {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    loop {
        let before = wakes.0.load(Ordering::Relaxed);
        poll(&mut Context::from_waker(&waker));
        if wakes.0.load(Ordering::Relaxed) == before {
            return;
        }
    }
}

/// What a server saw, and who still holds it.
#[derive(Clone, Default)]
pub struct Log {
    pub echoed: Rc<RefCell<Vec<String>>>,
    alive: Rc<()>,
}

impl Log {
    /// Servers and server futures that are alive.
    pub fn alive(&self) -> usize {
        Rc::strong_count(&self.alive) - 1
    }

    fn held(&self) -> Self {
        self.clone()
    }
}

/// Answers `echo`, never answers `runBytes`, calls what it is given.
struct Executor(Log);

impl executor::Server for Executor {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Outcome {
        let message = params.get()?.get_message()?.to_string()?;
        self.0.echoed.borrow_mut().push(message.clone());
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }

    async fn run_bytes(
        self: Rc<Self>,
        _params: executor::RunBytesParams,
        _results: executor::RunBytesResults,
    ) -> Outcome {
        let _held = self.0.held();
        pending().await
    }

    async fn compile(
        self: Rc<Self>,
        _params: executor::CompileParams,
        _results: executor::CompileResults,
    ) -> Outcome {
        loop {
            yield_now().await;
        }
    }
}

/// Hands out an [`Executor`], after a few turns.
struct Host(Log);

impl host::Server for Host {
    async fn executor(
        self: Rc<Self>,
        _params: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Outcome {
        for _ in 0..5 {
            yield_now().await;
        }
        results.get().set_executor(serve_executor(&self.0));
        Ok(())
    }
}

pub fn serve_executor(log: &Log) -> executor::Client {
    capnp_rpc::new_client(Executor(log.held()))
}

pub fn serve_host(log: &Log) -> host::Client {
    capnp_rpc::new_client(Host(log.held()))
}

pub fn untyped(client: impl FromClientHook) -> Client {
    Client::new(client.into_client_hook())
}

/// The bytes of one message of the RPC protocol.
pub fn rpc(fill: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut builder = Builder::new_default();
    fill(builder.init_root());
    let mut bytes = Vec::new();
    capnp::serialize::write_message(&mut bytes, &builder).expect("memory does not fail");
    bytes
}

/// Two connected vats, each with a `Host` to bootstrap.
pub struct Pair {
    pub client: Vat,
    pub server: Vat,
    pub at_client: Log,
    pub at_server: Log,
}

pub fn pair() -> Pair {
    pair_within(Limits::default())
}

pub fn pair_within(limits: Limits) -> Pair {
    let (from_server, to_client) = piper::pipe(64);
    let (from_client, to_server) = piper::pipe(64);
    let (at_client, at_server) = (Log::default(), Log::default());
    let bootstrap = |log| Some(untyped(serve_host(log)));
    Pair {
        client: Vat::new(
            from_server,
            to_server,
            Side::Client,
            bootstrap(&at_client),
            limits,
        ),
        server: Vat::new(
            from_client,
            to_client,
            Side::Server,
            bootstrap(&at_server),
            limits,
        ),
        at_client,
        at_server,
    }
}

/// The executor of a host, as a promise that is pipelined on.
pub fn executor_of(host: &host::Client) -> executor::Client {
    host.executor_request().send().pipeline.get_executor()
}

pub fn echo(executor: &executor::Client, message: &str) -> Promise<String, capnp::Error> {
    let mut request = executor.echo_request();
    request.get().set_message(message);
    let call = request.send().promise;
    Promise::from_future(async move { Ok(call.await?.get()?.get_response()?.to_string()?) })
}

pub fn never_answered(executor: &executor::Client) -> Promise<(), capnp::Error> {
    let RemotePromise { promise, pipeline } = executor.run_bytes_request().send();
    Promise::from_future(async move {
        let answer = promise.await;
        // Whoever waits in one expression holds the pipeline meanwhile.
        drop(pipeline);
        answer.map(|_| ())
    })
}
