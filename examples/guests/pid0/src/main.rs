//! The first cell of a host: grafts its membrane, asks who the host is, and
//! runs two more cells: one it talks to over its standard streams, the other
//! serves it a capability.

use ww_guest_sdk::peer_capnp::executor;
use ww_guest_sdk::{Error, Membrane, bytes, graft};

#[ww_guest_sdk::main]
async fn main(membrane: Membrane) -> Result<(), Error> {
    let session = graft(&membrane).await?;
    println!("grafted under epoch {}", session.epoch);

    let response = session.host.id_request().send().promise.await?;
    let id = bs58::encode(response.get()?.get_peer_id()?).into_string();
    println!("host is {id}");

    let mut request = session.executor.echo_request();
    request.get().set_message("anyone there?");
    let response = request.send().promise.await?;
    println!("{}", response.get()?.get_response()?.to_str()?);

    let mut request = session.executor.run_bytes_request();
    request
        .get()
        .set_wasm(&std::fs::read("/svc/echo-child/bin/main.wasm")?);
    request.get().init_args(1).set(0, "echo-child");
    let child = request.send().pipeline.get_process();

    let stdin = child.stdin_request().send().pipeline.get_stream();
    bytes::write(&stdin, b"a line to the child\n").await?;
    bytes::close(&stdin).await?;
    let stdout = child.stdout_request().send().pipeline.get_stream();
    let answer = String::from_utf8(bytes::read_to_end(&stdout).await?)?;
    println!("echo-child answers: {}", answer.trim_end());

    let response = child.wait_request().send().promise.await?;
    println!("echo-child exited with {}", response.get()?.get_exit_code());

    let mut request = session.executor.run_bytes_request();
    request
        .get()
        .set_wasm(&std::fs::read("/svc/exporter/bin/main.wasm")?);
    let child = request.send().pipeline.get_process();
    let response = child.bootstrap_request().send().promise.await?;
    let exported: executor::Client = response.get()?.get_cap().get_as_capability()?;
    let mut request = exported.echo_request();
    request.get().set_message("from cell to cell");
    let response = request.send().promise.await?;
    println!("exporter {}", response.get()?.get_response()?.to_str()?);
    Ok(())
}
