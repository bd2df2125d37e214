//! What the vat serves: capabilities that answer, wait, give, keep, call back
//! and pass on whatever they are given.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;

use capnp::capability::{Client, FromClientHook};
use futures_lite::future::yield_now;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, executor, process};

type Outcome = Result<(), capnp::Error>;

pub(crate) struct Node {
    nodes: Nodes,
    kept: RefCell<Option<Client>>,
}

/// All nodes of one side, for as long as anything of it lives.
#[derive(Clone, Default)]
pub(crate) struct Nodes(Rc<()>);

impl Nodes {
    /// Nodes, and futures of theirs, that are alive.
    pub(crate) fn alive(&self) -> usize {
        Rc::strong_count(&self.0) - 1
    }

    pub(crate) fn executor(&self) -> executor::Client {
        capnp_rpc::new_client(self.node(None))
    }

    fn node(&self, kept: Option<Client>) -> Node {
        Node {
            nodes: self.clone(),
            kept: RefCell::new(kept),
        }
    }
}

pub(crate) fn untyped(client: impl FromClientHook) -> Client {
    Client::new(client.into_client_hook())
}

impl executor::Server for Node {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Outcome {
        let message = params.get()?.get_message()?;
        results.get().set_response(message);
        Ok(())
    }

    async fn run_bytes(
        self: Rc<Self>,
        _params: executor::RunBytesParams,
        _results: executor::RunBytesResults,
    ) -> Outcome {
        let _alive = self.nodes.clone();
        pending().await
    }

    async fn compile(
        self: Rc<Self>,
        _params: executor::CompileParams,
        mut results: executor::CompileResults,
    ) -> Outcome {
        let program: program::Client = capnp_rpc::new_client(self.nodes.node(None));
        results.get().set_program(program);
        Ok(())
    }
}

impl program::Server for Node {
    /// Gives a process that keeps what it was given, at once or after a while.
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Outcome {
        let params = params.get()?;
        let kept = params.get_bootstrap().get_as_capability().ok();
        let process = self.nodes.node(kept);
        let slow = params.get_options()?.get_args()?.len() % 2 == 1;
        let process: process::Client = match slow {
            true => capnp_rpc::new_future_client(async move {
                yield_now().await;
                yield_now().await;
                Ok(capnp_rpc::new_client(process))
            }),
            false => capnp_rpc::new_client(process),
        };
        results.get().set_process(process);
        Ok(())
    }
}

impl process::Server for Node {
    /// What was given, whatever it is.
    async fn bootstrap(
        self: Rc<Self>,
        _params: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Outcome {
        let kept = self.kept.borrow().clone();
        let given = kept.unwrap_or_else(|| untyped(self.nodes.executor()));
        results.get().init_cap().set_as_capability(given.hook);
        Ok(())
    }

    /// Calls what was given.
    async fn wait(
        self: Rc<Self>,
        _params: process::WaitParams,
        mut results: process::WaitResults,
    ) -> Outcome {
        let kept = self.kept.borrow().clone();
        let kept: executor::Client = match kept {
            Some(kept) => executor::Client::new(kept.hook),
            None => return Err(capnp::Error::failed("nothing was given".into())),
        };
        let mut request = kept.echo_request();
        request.get().set_message("called back");
        let response = request.send().promise.await?;
        let len = response.get()?.get_response()?.len();
        results.get().set_exit_code(len as i32);
        Ok(())
    }

    /// Lets go of what was given.
    async fn kill(
        self: Rc<Self>,
        _params: process::KillParams,
        _results: process::KillResults,
    ) -> Outcome {
        self.kept.take();
        Ok(())
    }

    /// A promise that breaks.
    async fn stdin(
        self: Rc<Self>,
        _params: process::StdinParams,
        mut results: process::StdinResults,
    ) -> Outcome {
        let broken = async {
            yield_now().await;
            Err(capnp::Error::overloaded("no".into()))
        };
        let stream: byte_stream::Client = capnp_rpc::new_future_client(broken);
        results.get().set_stream(stream);
        Ok(())
    }

    async fn stdout(
        self: Rc<Self>,
        _params: process::StdoutParams,
        mut results: process::StdoutResults,
    ) -> Outcome {
        let stream: byte_stream::Client = capnp_rpc::new_client(self.nodes.node(None));
        results.get().set_stream(stream);
        Ok(())
    }
}

impl byte_stream::Server for Node {
    async fn push(self: Rc<Self>, params: byte_stream::PushParams) -> Outcome {
        match params.get()?.get_data()?.first() {
            Some(0..64) => Err(capnp::Error::failed("refused".into())),
            _ => Ok(()),
        }
    }

    async fn finish(
        self: Rc<Self>,
        _params: byte_stream::FinishParams,
        _results: byte_stream::FinishResults,
    ) -> Outcome {
        Ok(())
    }
}
