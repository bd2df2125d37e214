// What the guide's examples wrap: a host that gives out an executor, and short
// words for calling them.

use std::rc::Rc;

use ww_rpc::peer_capnp::{executor, host};

struct Peer;
struct Runner;

impl host::Server for Peer {
    async fn id(
        self: Rc<Self>,
        _: host::IdParams,
        mut results: host::IdResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_peer_id(b"this peer");
        Ok(())
    }

    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_executor(capnp_rpc::new_client(Runner));
        Ok(())
    }
}

impl executor::Server for Runner {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

fn host() -> host::Client {
    capnp_rpc::new_client(Peer)
}

async fn id(host: &host::Client) -> Result<Vec<u8>, capnp::Error> {
    let answer = host.id_request().send().promise.await?;
    Ok(answer.get()?.get_peer_id()?.to_vec())
}

async fn executor_of(host: &host::Client) -> Result<executor::Client, capnp::Error> {
    let answer = host.executor_request().send().promise.await?;
    answer.get()?.get_executor()
}

async fn echo(executor: &executor::Client, message: &str) -> Result<String, capnp::Error> {
    let mut request = executor.echo_request();
    request.get().set_message(message);
    let answer = request.send().promise.await?;
    Ok(answer.get()?.get_response()?.to_string()?)
}
