//! What is called.

use std::error::Error;
use std::rc::Rc;

use async_executor::LocalExecutor;
use capnp::ErrorKind;
use capnp::capability::{Client, FromClientHook};
use ww_rpc::peer_capnp::{executor, host};

use crate::wire::connect;

/// Goes through all of it, a line each.
pub(crate) async fn call(local: &LocalExecutor<'_>, address: &str) -> Result<(), Box<dyn Error>> {
    let mut vat = connect(address).await?;
    let host: host::Client = vat.bootstrap();
    let vat = local.spawn(vat);
    let response = host.executor_request().send().promise.await?;
    let executor = response.get()?.get_executor()?;

    println!("plain: {}", echo(&executor, "hello").await?);
    let pipelined = host.executor_request().send().pipeline.get_executor();
    println!(
        "pipelined: {}",
        echo(&pipelined, "through a promise").await?
    );
    let many = (0..500).map(|n| {
        let mut request = executor.echo_request();
        request.get().set_message(n.to_string());
        request.send().promise
    });
    let mut sum = 0;
    for answer in many.collect::<Vec<_>>() {
        let answer = answer.await?;
        let text = answer.get()?.get_response()?.to_str()?;
        sum += text.trim_start_matches("Echo: ").parse::<u32>()?;
    }
    println!("at once: {sum}");

    let mut request = executor.compile_request();
    request.get().set_wasm(&[]);
    let mut spawn = request.send().pipeline.get_program().spawn_request();
    let ours: executor::Client = capnp_rpc::new_client(Ours);
    let given = spawn.get().init_bootstrap();
    { given }.set_as_capability(ours.into_client_hook());
    let process = spawn.send().pipeline.get_process();
    let waited = process.wait_request().send().promise.await?;
    println!("called back: {}", waited.get()?.get_exit_code());
    let back = process.bootstrap_request().send().promise.await?;
    let back: Client = back.get()?.get_cap().get_as_capability()?;
    let back = executor::Client::new(back.hook);
    println!("came home: {}", echo(&back, "it").await?);
    // Sent before the other side can know that it leads back here.
    let back = process.bootstrap_request().send().pipeline.get_cap();
    let back = executor::Client::new(back.as_cap());
    match echo(&back, "it").await {
        Ok(answer) => println!("reflected: {answer}"),
        // Its runtime would have us keep the results.
        failed => println!("reflected: {}", kind(failed)),
    }

    let stdin = process.stdin_request().send().pipeline.get_stream();
    for n in 0..1000_u32 {
        let mut request = stdin.push_request();
        request.get().set_data(&[(n % 251) as u8; 100]);
        request.send().await?;
    }
    stdin.finish_request().send().promise.await?;
    let stdout = process.stdout_request().send().promise.await?;
    let stdout = stdout.get()?.get_stream()?;
    let mut streamed = 0;
    loop {
        let mut request = stdout.read_request();
        request.get().set_max_bytes(65536);
        let answer = request.send().promise.await?;
        match answer.get()?.get_data()?.len() {
            0 => break,
            count => streamed += count,
        }
    }
    println!("streamed: {streamed}");

    for message in ["fail", "overload", "disconnect", "unimplemented"] {
        println!("{message}: {}", kind(echo(&executor, message).await));
    }
    let peers = host.peers_request().send().promise.await;
    println!("no such method: {}", kind(peers));

    let hangs = executor.run_bytes_request().send();
    println!("hanging: {}", echo(&executor, "hanging").await?);
    drop(hangs);
    echo(&executor, "none hangs").await?;
    println!("cancelled: {}", echo(&executor, "hanging").await?);

    // The one leaves while it waits, the other is left.
    let mut other = connect(address).await?;
    let left: host::Client = other.bootstrap();
    let other = local.spawn(other);
    let left = left.executor_request().send().pipeline.get_executor();
    let hangs = left.run_bytes_request().send().promise;
    echo(&left, "hello").await?;
    println!("hanging: {}", echo(&executor, "hanging").await?);
    drop(other);
    println!("our end: {}", kind(hangs.await));
    echo(&executor, "none hangs").await?;
    let hangs = executor.run_bytes_request().send().promise;
    let hung_up = kind(echo(&executor, "hang up").await);
    println!("hung up: {hung_up} {}", kind(hangs.await));
    println!("after: {}", kind(echo(&executor, "anyone?").await));
    drop(vat);
    Ok(())
}

async fn echo(executor: &executor::Client, message: &str) -> Result<String, capnp::Error> {
    let mut request = executor.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_response()?.to_string()?)
}

fn kind<T>(outcome: Result<T, capnp::Error>) -> &'static str {
    match outcome.map_err(|error| error.kind) {
        Ok(_) => "answered",
        Err(ErrorKind::Failed) => "failed",
        Err(ErrorKind::Overloaded) => "overloaded",
        Err(ErrorKind::Disconnected) => "disconnected",
        Err(ErrorKind::Unimplemented) => "unimplemented",
        Err(_) => "something else",
    }
}

/// What the caller hands over.
struct Ours;

impl executor::Server for Ours {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("caller has {message}"));
        Ok(())
    }
}
