//! What is served.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::pending;
use std::rc::Rc;

use async_executor::LocalExecutor;
use capnp::capability::{Client, FromClientHook};
use futures::channel::oneshot;
use futures_lite::future;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, executor, host, process};

use crate::wire::Listener;

type Outcome = Result<(), capnp::Error>;

/// Serves every connection until the process is ended.
pub(crate) async fn serve(local: &LocalExecutor<'_>, address: &str) -> Result<(), Box<dyn Error>> {
    let listener = Listener::bind(address)?;
    let hanging = Rc::<Hanging>::default();
    loop {
        let (hang_up, hung_up) = oneshot::channel();
        let host: host::Client = capnp_rpc::new_client(Host(Executor {
            hanging: hanging.clone(),
            hang_up: Rc::new(Cell::new(Some(hang_up))),
        }));
        let vat = listener
            .accept(Client::new(host.into_client_hook()))
            .await?;
        let hung_up = async {
            // A vat whose host is gone has nobody left to be told to hang up.
            if hung_up.await.is_err() {
                pending::<()>().await;
            }
        };
        local
            .spawn(future::or(async { drop(vat.await) }, hung_up))
            .detach();
    }
}

/// Calls that nobody answers, of all connections.
#[derive(Default)]
struct Hanging {
    count: Cell<usize>,
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

impl Hanging {
    async fn end(&self) {
        if self.count.get() > 0 {
            let (sender, receiver) = oneshot::channel();
            self.waiting.borrow_mut().push(sender);
            let _ = receiver.await;
        }
    }
}

/// One such call, until it is dropped.
struct Hangs(Rc<Hanging>);

impl Drop for Hangs {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            for waiting in self.0.waiting.take() {
                let _ = waiting.send(());
            }
        }
    }
}

#[derive(Clone)]
struct Executor {
    hanging: Rc<Hanging>,
    hang_up: Rc<Cell<Option<oneshot::Sender<()>>>>,
}

impl executor::Server for Executor {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Outcome {
        let message = params.get()?.get_message()?.to_str()?;
        match message {
            "fail" => return Err(capnp::Error::failed("as asked".into())),
            "overload" => return Err(capnp::Error::overloaded("as asked".into())),
            "disconnect" => return Err(capnp::Error::disconnected("as asked".into())),
            "unimplemented" => return Err(capnp::Error::unimplemented("as asked".into())),
            "hanging" => {
                let count = self.hanging.count.get().to_string();
                results.get().set_response(count);
                return Ok(());
            }
            "none hangs" => self.hanging.end().await,
            "hang up" => {
                if let Some(hang_up) = self.hang_up.take() {
                    let _ = hang_up.send(());
                }
                pending::<()>().await;
            }
            _ => {}
        }
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }

    async fn run_bytes(
        self: Rc<Self>,
        _params: executor::RunBytesParams,
        _results: executor::RunBytesResults,
    ) -> Outcome {
        self.hanging.count.set(self.hanging.count.get() + 1);
        let _hangs = Hangs(self.hanging.clone());
        pending().await
    }

    async fn compile(
        self: Rc<Self>,
        _params: executor::CompileParams,
        mut results: executor::CompileResults,
    ) -> Outcome {
        results.get().set_program(capnp_rpc::new_client(Program));
        Ok(())
    }
}

struct Host(Executor);

impl host::Server for Host {
    async fn executor(
        self: Rc<Self>,
        _params: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Outcome {
        let executor = capnp_rpc::new_client(self.0.clone());
        results.get().set_executor(executor);
        Ok(())
    }
}

struct Program;

impl program::Server for Program {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Outcome {
        let given: Client = params.get()?.get_bootstrap().get_as_capability()?;
        let process = Process {
            given: executor::Client::new(given.hook),
            stream: capnp_rpc::new_client(Stream::default()),
        };
        results.get().set_process(capnp_rpc::new_client(process));
        Ok(())
    }
}

struct Process {
    given: executor::Client,
    stream: byte_stream::Client,
}

impl process::Server for Process {
    async fn wait(
        self: Rc<Self>,
        _params: process::WaitParams,
        mut results: process::WaitResults,
    ) -> Outcome {
        let mut request = self.given.echo_request();
        request.get().set_message("called back");
        let response = request.send().promise.await?;
        let len = response.get()?.get_response()?.len();
        results.get().set_exit_code(len as i32);
        Ok(())
    }

    async fn bootstrap(
        self: Rc<Self>,
        _params: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Outcome {
        let given = self.given.as_client_hook().add_ref();
        results.get().init_cap().set_as_capability(given);
        Ok(())
    }

    async fn stdin(
        self: Rc<Self>,
        _params: process::StdinParams,
        mut results: process::StdinResults,
    ) -> Outcome {
        results.get().set_stream(self.stream.clone());
        Ok(())
    }

    async fn stdout(
        self: Rc<Self>,
        _params: process::StdoutParams,
        mut results: process::StdoutResults,
    ) -> Outcome {
        results.get().set_stream(self.stream.clone());
        Ok(())
    }
}

/// Gives back what was pushed.
#[derive(Default)]
struct Stream(RefCell<Vec<u8>>);

impl byte_stream::Server for Stream {
    async fn push(self: Rc<Self>, params: byte_stream::PushParams) -> Outcome {
        let data = params.get()?.get_data()?;
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    async fn finish(
        self: Rc<Self>,
        _params: byte_stream::FinishParams,
        _results: byte_stream::FinishResults,
    ) -> Outcome {
        Ok(())
    }

    async fn read(
        self: Rc<Self>,
        params: byte_stream::ReadParams,
        mut results: byte_stream::ReadResults,
    ) -> Outcome {
        let mut bytes = self.0.borrow_mut();
        let count = bytes.len().min(params.get()?.get_max_bytes() as usize);
        let given: Vec<u8> = bytes.drain(..count).collect();
        results.get().set_data(&given);
        Ok(())
    }
}
