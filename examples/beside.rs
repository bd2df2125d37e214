//! Runs guests as children of a cell, each with one capability and no more.

use std::rc::Rc;
use std::sync::Arc;

use capnp::capability::FromClientHook;
use ww_core::cell::Local;
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_core::{Error, Runtime};
use ww_rpc::peer_capnp::{byte_stream, executor};

/// What runs them, on the thread of the cell.
pub(crate) fn executor(local: &Local) -> Result<executor::Client, Error> {
    let network = Arc::new(Offline::new());
    let spawner = Spawner::beside(local, &Runtime::shared()?, network);
    Ok(Rc::new(spawner).client())
}

/// Runs a guest to its end with `bootstrap`, and answers what it printed.
pub(crate) async fn run(
    executor: &executor::Client,
    guest: &str,
    args: &[&str],
    bootstrap: impl FromClientHook,
) -> Result<String, capnp::Error> {
    let mut request = executor.compile_request();
    request.get().set_wasm(&example_images::wasm(guest));
    let program = request.send().pipeline.get_program();

    let mut request = program.spawn_request();
    let argv = [&[guest], args].concat();
    request.get().init_options().set_args(&argv[..])?;
    let bootstrap = bootstrap.into_client_hook();
    request.get().init_bootstrap().set_as_capability(bootstrap);
    let process = request.send().pipeline.get_process();

    let printed = process.stdout_request().send().pipeline.get_stream();
    let mut text = Vec::new();
    loop {
        let chunk = read(&printed).await?;
        if chunk.is_empty() {
            break;
        }
        text.extend(chunk);
    }
    process.wait_request().send().promise.await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn read(stream: &byte_stream::Client) -> Result<Vec<u8>, capnp::Error> {
    let mut request = stream.read_request();
    request.get().set_max_bytes(4096);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_data()?.to_vec())
}
