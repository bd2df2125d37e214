//! An executor served natively, without a cell around it, and short words for
//! what tests ask of it.

use std::rc::Rc;
use std::sync::Arc;

use async_executor::LocalExecutor;
use capnp::capability::{Client, FromClientHook};
use futures::TryFutureExt;
use futures_lite::future::block_on;
use ww_core::Runtime;
use ww_core::cell::Driver;
use ww_core::network::{Network, Offline};
use ww_core::serve::Spawner;
use ww_rpc::cell_capnp::{Transport, program};
use ww_rpc::peer_capnp::{byte_stream, executor, process};

pub(crate) type Answer<T> = Result<T, capnp::Error>;

/// Where cells run: this thread.
#[derive(Clone)]
pub(crate) struct Stage {
    tasks: Rc<LocalExecutor<'static>>,
}

impl Stage {
    /// Runs a test, and the cells that it spawns.
    pub(crate) fn run<T>(test: impl AsyncFnOnce(Self) -> T) -> T {
        let stage = Self {
            tasks: Rc::default(),
        };
        let tasks = stage.tasks.clone();
        block_on(tasks.run(test(stage)))
    }

    pub(crate) fn spawner(&self, network: impl Network + 'static) -> Spawner {
        let tasks = Rc::downgrade(&self.tasks);
        let runtime = Runtime::shared().expect("a runtime");
        Spawner::new(&runtime, Arc::new(network), move |driver| {
            if let Some(tasks) = tasks.upgrade() {
                tasks.spawn(driver).detach();
            }
        })
    }

    /// Runs a cell beside the test.
    pub(crate) fn drive(&self, driver: Driver) {
        self.tasks.spawn(driver).detach();
    }

    pub(crate) fn executor(&self) -> executor::Client {
        Rc::new(self.spawner(Offline::new())).client()
    }

    /// Runs a guest of the examples that bootstraps nothing.
    pub(crate) async fn spawn(&self, guest: &str, args: &[&str]) -> process::Client {
        let program = compile(&self.executor(), guest).await.unwrap();
        Spawn::args(args).spawn(&program).await.unwrap()
    }
}

/// What is said about a cell that is spawned.
#[derive(Default)]
pub(crate) struct Spawn<'a> {
    pub(crate) args: &'a [&'a str],
    pub(crate) env: &'a [&'a str],
    pub(crate) stdio: bool,
    pub(crate) bootstrap: Option<Client>,
}

impl<'a> Spawn<'a> {
    pub(crate) fn args(args: &'a [&'a str]) -> Self {
        Self {
            args,
            ..Self::default()
        }
    }

    pub(crate) fn bootstrap(mut self, client: impl FromClientHook) -> Self {
        self.bootstrap = Some(client.cast_to());
        self
    }

    pub(crate) async fn spawn(self, program: &program::Client) -> Answer<process::Client> {
        let mut request = program.spawn_request();
        let mut options = request.get().init_options();
        options.reborrow().set_args(self.args)?;
        options.reborrow().set_env(self.env)?;
        if self.stdio {
            options.set_transport(Transport::Stdio);
        }
        if let Some(bootstrap) = self.bootstrap {
            request
                .get()
                .init_bootstrap()
                .set_as_capability(bootstrap.hook);
        }
        request.send().promise.await?.get()?.get_process()
    }
}

pub(crate) async fn compile(executor: &executor::Client, guest: &str) -> Answer<program::Client> {
    let mut request = executor.compile_request();
    request.get().set_wasm(&example_images::wasm(guest));
    request.send().promise.await?.get()?.get_program()
}

/// Compiles a program that is no other number's, and exits at once.
pub(crate) async fn compile_small(
    executor: &executor::Client,
    number: usize,
) -> Answer<program::Client> {
    let text = format!(
        r#"(component
            (core module $run (func (export "run") (result i32) (i32.eqz (i32.const {number}))))
            (core instance $run (instantiate $run))
            (func $run (result (result)) (canon lift (core func $run "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    let mut request = executor.compile_request();
    request.get().set_wasm(&wat::parse_str(text).unwrap());
    request.send().promise.await?.get()?.get_program()
}

pub(crate) async fn run_bytes(
    executor: &executor::Client,
    wasm: &[u8],
    args: &[&str],
    env: &[&str],
) -> Answer<process::Client> {
    let mut request = executor.run_bytes_request();
    request.get().set_wasm(wasm);
    request.get().set_args(args)?;
    request.get().set_env(env)?;
    request.send().promise.await?.get()?.get_process()
}

pub(crate) async fn echo(executor: &executor::Client, message: &str) -> Answer<String> {
    let mut request = executor.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_response()?.to_string()?)
}

pub(crate) async fn wait(process: &process::Client) -> Answer<i32> {
    Ok(process
        .wait_request()
        .send()
        .promise
        .await?
        .get()?
        .get_exit_code())
}

pub(crate) async fn kill(process: &process::Client) -> Answer<()> {
    process.kill_request().send().promise.await.map(drop)
}

pub(crate) async fn stdin(process: &process::Client) -> Answer<byte_stream::Client> {
    process
        .stdin_request()
        .send()
        .promise
        .await?
        .get()?
        .get_stream()
}

pub(crate) async fn stdout(process: &process::Client) -> Answer<byte_stream::Client> {
    process
        .stdout_request()
        .send()
        .promise
        .await?
        .get()?
        .get_stream()
}

pub(crate) async fn stderr(process: &process::Client) -> Answer<byte_stream::Client> {
    process
        .stderr_request()
        .send()
        .promise
        .await?
        .get()?
        .get_stream()
}

/// The whole text of an output.
pub(crate) async fn text(stream: Answer<byte_stream::Client>) -> String {
    let stream = stream.unwrap();
    let mut bytes = Vec::new();
    loop {
        let data = read(&stream, u32::MAX).await.unwrap();
        if data.is_empty() {
            return String::from_utf8(bytes).unwrap();
        }
        bytes.extend(data);
    }
}

pub(crate) fn read(
    stream: &byte_stream::Client,
    most: u32,
) -> impl Future<Output = Answer<Vec<u8>>> + use<> {
    let mut request = stream.read_request();
    request.get().set_max_bytes(most);
    let sent = request.send();
    async { Ok(sent.promise.await?.get()?.get_data()?.to_vec()) }
}

pub(crate) fn write(
    stream: &byte_stream::Client,
    data: &[u8],
) -> impl Future<Output = Answer<()>> + use<> {
    let mut request = stream.write_request();
    request.get().set_data(data);
    request.send().promise.map_ok(drop)
}

pub(crate) fn push(
    stream: &byte_stream::Client,
    data: &[u8],
) -> impl Future<Output = Answer<()>> + use<> {
    let mut request = stream.push_request();
    request.get().set_data(data);
    request.send()
}

pub(crate) fn close(stream: &byte_stream::Client) -> impl Future<Output = Answer<()>> + use<> {
    stream.close_request().send().promise.map_ok(drop)
}

pub(crate) fn finish(stream: &byte_stream::Client) -> impl Future<Output = Answer<()>> + use<> {
    stream.finish_request().send().promise.map_ok(drop)
}
