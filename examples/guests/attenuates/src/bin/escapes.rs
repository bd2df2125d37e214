//! A child that was handed less than its parent has, and tries each way to come
//! by the rest. Prints a line for each of them.

use std::cell::RefCell;
use std::rc::Rc;

use ww_guest_sdk::capnp::Error as RpcError;
use ww_guest_sdk::capnp::capability::FromClientHook;
use ww_guest_sdk::cell_capnp::program;
use ww_guest_sdk::peer_capnp::{executor, host, process};
use ww_guest_sdk::{Error, capnp_rpc};

/// Is called back, and keeps what it is handed.
#[derive(Default)]
struct Callback(RefCell<Option<host::Client>>);

impl program::Server for Callback {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        _: program::SpawnResults,
    ) -> Result<(), RpcError> {
        let host: host::Client = params.get()?.get_bootstrap().get_as_capability()?;
        *self.0.borrow_mut() = Some(host);
        Ok(())
    }
}

#[ww_guest_sdk::main]
async fn main(desk: program::Client) -> Result<(), Error> {
    let callback = Rc::new(Callback::default());
    let client: program::Client = capnp_rpc::new_client_from_rc(callback.clone());
    let mut request = desk.spawn_request();
    let hook = client.client.hook;
    request.get().init_bootstrap().set_as_capability(hook);
    let sent = request.send();
    let tray = sent.pipeline.get_process();

    // Each way to the host, before and after the answer is there.
    let asked = tray.bootstrap_request().send();
    let pipelined: host::Client = FromClientHook::new(asked.pipeline.get_cap().as_cap());
    attempt("pipeline", &pipelined).await?;
    let response = asked.promise.await?;
    attempt("answer", &response.get()?.get_cap().get_as_capability()?).await?;
    attempt("settled pipeline", &pipelined).await?;
    sent.promise.await?;
    let handed = callback.0.take().ok_or("it was not called back")?;
    attempt("callback", &handed).await?;

    let promise = tray.stdin_request().send().promise.await?;
    let promise: host::Client = promise.get()?.get_stream()?.cast_to();
    attempt("promise", &promise).await?;
    if promise.client.hook.get_resolved().is_none() {
        promise.client.hook.when_resolved().await?;
    }
    attempt("resolution", &promise).await?;
    let more = promise.client.hook.get_resolved();
    let more = more.unwrap_or_else(|| promise.client.hook.add_ref());
    attempt("what it resolved to", &host::Client::new(more)).await?;

    // As something else, and as itself again.
    let cast: process::Client = handed.clone().cast_to();
    let killed = cast.kill_request().send().promise.await;
    println!("cast: {}", outcome(killed));
    let cast: executor::Client = handed.clone().cast_to();
    println!("cast to what the host gives: {}", echo(&cast).await);
    attempt("cast and back", &cast.cast_to()).await?;

    // Handed in and got back, it is what it was.
    let callback = Rc::new(Callback::default());
    let client: program::Client = capnp_rpc::new_client_from_rc(callback.clone());
    let mut request = client.spawn_request();
    let hook = handed.client.hook;
    request.get().init_bootstrap().set_as_capability(hook);
    request.send().promise.await?;
    let back = callback.0.take().ok_or("it was not called back")?;
    attempt("round trip", &back).await?;
    Ok(())
}

/// Says what can be done with a host: what is allowed, what is not, and what is
/// not of what is reached through it.
async fn attempt(way: &str, host: &host::Client) -> Result<(), Error> {
    let id = host.id_request().send().promise.await?;
    let bytes = id.get()?.get_peer_id()?.len();
    let addrs = host.addrs_request().send().promise.await;
    let peers = host.peers_request().send().promise.await;
    let mut request = host.connect_request();
    request.get().set_peer_id(b"somebody");
    let connected = request.send().promise.await;
    let sent = host.executor_request().send();
    let pipelined = echo(&sent.pipeline.get_executor()).await;
    let answered = echo(&sent.promise.await?.get()?.get_executor()?).await;
    println!(
        "{way}: id of {bytes} bytes; addrs {}; peers {}; connect {}; \
         echo, pipelined {pipelined}, answered {answered}",
        outcome(addrs),
        outcome(peers),
        outcome(connected),
    );
    Ok(())
}

async fn echo(executor: &executor::Client) -> &'static str {
    let mut request = executor.echo_request();
    request.get().set_message("out");
    outcome(request.send().promise.await)
}

fn outcome<T>(result: Result<T, RpcError>) -> &'static str {
    match result {
        Ok(_) => "WENT THROUGH",
        Err(error) if error.extra.contains("is not allowed") => "denied",
        Err(_) => "failed otherwise",
    }
}
