//! One worker for all cells, an executor to serve them, and short words for
//! calls.

use std::rc::Rc;
use std::sync::LazyLock;

use futures::AsyncReadExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::join;
use ww_core::cell::{Builder, Cell, Exit};
use ww_core::{Error, Runtime};
use ww_rpc::peer_capnp::executor;

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Runtime::builder().workers(1).build();
    runtime.expect("the engine starts")
});

pub(crate) fn guest(name: &str) -> Builder {
    let image = example_images::path(name);
    Builder::new().runtime(&RUNTIME).image(image)
}

/// An `Executor` that echoes, and tells of each call.
pub(crate) struct Echo(UnboundedSender<String>);

pub(crate) fn echo() -> (Echo, UnboundedReceiver<String>) {
    let (told, calls) = unbounded();
    (Echo(told), calls)
}

impl executor::Server for Echo {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        let message = params.get()?.get_message()?.to_str()?;
        // Nobody need listen.
        let _ = self.0.unbounded_send(message.to_owned());
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

impl Echo {
    pub(crate) fn client(self) -> executor::Client {
        capnp_rpc::new_client(self)
    }
}

/// What the executor answers.
pub(crate) async fn call(
    executor: &executor::Client,
    message: &str,
) -> Result<String, capnp::Error> {
    let mut request = executor.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_response()?.to_string()?)
}

/// Reads stdout to its end, and waits.
pub(crate) async fn finish(cell: &Cell) -> (Result<Exit, Error>, String) {
    let mut told = String::new();
    let mut stdout = cell.take_stdout().expect("it is piped");
    let (exit, read) = join(cell.wait(), stdout.read_to_string(&mut told)).await;
    read.expect("it is text");
    (exit, told)
}
