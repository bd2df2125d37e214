//! A server for guests that wait.

use std::future::pending;
use std::rc::Rc;

use ww_rpc::peer_capnp::executor;

struct Silent;

/// An `Executor` that never answers.
pub(crate) fn silent() -> executor::Client {
    capnp_rpc::new_client(Silent)
}

impl executor::Server for Silent {
    async fn echo(
        self: Rc<Self>,
        _: executor::EchoParams,
        _: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        pending().await
    }
}
