//! The calls whose cost is measured: the same for every caller.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use capnp::Error;
use futures::{StreamExt, TryStreamExt, stream};
use ww_core::Runtime;
use ww_core::clock::Clock;
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_rpc::peer_capnp::executor;

use crate::time::Thread;

/// How calls are made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bytes of each call's message. The answer has six more.
    pub bytes: usize,
    /// Calls under way at a time.
    pub in_flight: usize,
}

/// Calls `echo` so often, checks every answer, and says how long it took in
/// this thread's processor time. What the first call waits for (the bootstrap,
/// the start of the other side) is not counted.
///
/// # Errors
///
/// A call failed, or its answer is no echo.
pub async fn make(echo: &executor::Client, shape: Shape, calls: u64) -> Result<Duration, Error> {
    let message = "x".repeat(shape.bytes);
    call(echo, &message).await?;
    let start = Thread.now();
    stream::iter(0..calls)
        .map(|_| call(echo, &message))
        .buffer_unordered(shape.in_flight)
        .try_collect::<()>()
        .await?;
    Ok(Thread.now() - start)
}

/// The server that answers, in a cell's host and in native vats alike.
pub fn server(runtime: &Runtime) -> executor::Client {
    Rc::new(Spawner::new(runtime, network(), drop)).client()
}

/// The network of every host here. One for all, because a fresh identity
/// costs as much as a spawn.
pub fn network() -> Arc<Offline> {
    static NETWORK: LazyLock<Offline> = LazyLock::new(Offline::new);
    Arc::new(*NETWORK)
}

async fn call(echo: &executor::Client, message: &str) -> Result<(), Error> {
    let mut request = echo.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    let response = response.get()?.get_response()?.to_str()?;
    match response.strip_prefix("Echo: ") {
        Some(echo) if echo == message => Ok(()),
        _ => Err(Error::failed("the answer is no echo of the call".into())),
    }
}
