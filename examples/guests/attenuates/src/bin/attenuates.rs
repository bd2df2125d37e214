//! A first cell that hands a child less than it has: its host, through a
//! membrane of its own that lets the child ask two things of it, and only so
//! often. What the child prints is printed.
//!
//! The child is given a desk, so that it can come by the host in every way
//! there is: as an answer, by a pipeline, as a promise, and as the parameter of
//! a callback.

use std::rc::Rc;

use ww_guest_sdk::capnp::Error as RpcError;
use ww_guest_sdk::capnp::capability::FromClientHook;
use ww_guest_sdk::cell_capnp::program;
use ww_guest_sdk::peer_capnp::{host, process};
use ww_guest_sdk::{Error, Membrane as Grafts, bytes, capnp_rpc, graft, time};
use ww_membrane::Membrane;
use ww_membrane::policies::{Allow, Rate};

/// What the child bootstraps.
struct Desk(host::Client);

impl program::Server for Desk {
    /// Hands the host to the callback that is handed in, and answers with a
    /// tray that has the host, too.
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), RpcError> {
        let callback: program::Client = params.get()?.get_bootstrap().get_as_capability()?;
        let mut request = callback.spawn_request();
        let host = self.0.clone().client.hook;
        request.get().init_bootstrap().set_as_capability(host);
        request.send().promise.await?;
        let tray = capnp_rpc::new_client(Tray(self.0.clone()));
        results.get().set_process(tray);
        Ok(())
    }
}

struct Tray(host::Client);

impl process::Server for Tray {
    async fn bootstrap(
        self: Rc<Self>,
        _: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Result<(), RpcError> {
        let host = self.0.clone().client.hook;
        results.get().init_cap().set_as_capability(host);
        Ok(())
    }

    /// Answers with a promise of the host that resolves later.
    async fn stdin(
        self: Rc<Self>,
        _: process::StdinParams,
        mut results: process::StdinResults,
    ) -> Result<(), RpcError> {
        let host = self.0.clone();
        let promise: host::Client = capnp_rpc::new_future_client(async move {
            time::sleep(std::time::Duration::from_millis(1)).await;
            Ok(host)
        });
        results.get().set_stream(promise.cast_to());
        Ok(())
    }
}

#[ww_guest_sdk::main]
async fn main(membrane: Grafts) -> Result<(), Error> {
    let session = graft(&membrane).await?;
    let allow = Allow::new()
        .method(host::Client::id_request)
        .method(host::Client::executor_request)
        .method(program::Client::spawn_request)
        .method(process::Client::bootstrap_request)
        .method(process::Client::stdin_request);
    let start = std::time::Instant::now();
    let rate = Rate::new(move || start.elapsed(), 1000, std::time::Duration::MAX);
    let less = Membrane::policed((allow, rate));
    let desk: program::Client = capnp_rpc::new_client(Desk(session.host.clone()));

    let mut request = session.executor.compile_request();
    let wasm = std::fs::read("/svc/escapes/bin/main.wasm")?;
    request.get().set_wasm(&wasm);
    let program = request.send().pipeline.get_program();
    let mut request = program.spawn_request();
    let mut options = request.get().init_options();
    options.reborrow().init_args(1).set(0, "escapes");
    let desk = less.wrap(desk).client.hook;
    request.get().init_bootstrap().set_as_capability(desk);
    let child = request.send().pipeline.get_process();

    let stdout = child.stdout_request().send().pipeline.get_stream();
    print!("{}", String::from_utf8(bytes::read_to_end(&stdout).await?)?);
    let response = child.wait_request().send().promise.await?;
    println!("child exited with {}", response.get()?.get_exit_code());

    // What it was denied is seen from here.
    let authority = less.authority();
    let held = authority.held.iter().map(|held| held.calls.denied());
    let denied = held.sum::<u64>() + authority.past.denied();
    println!("{} by {}", denied, authority.policy.unwrap_or_default());
    less.revoke(RpcError::disconnected("the child has ended".into()));
    Ok(())
}
