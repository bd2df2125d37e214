//! What a parent says of its child's bounds, and images that are run out of an
//! image.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use capnp::ErrorKind;
use futures::future::{join, join_all};
use futures_lite::future::{block_on, poll_once, yield_now};
use ww_core::cell::{Builder, Input, Limits, Local};
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_core::{Error, Runtime};
use ww_image::{Image, Layer};
use ww_loader::{Loader, Memory, Node, Path, async_trait};
use ww_rpc::cell_capnp::limits;
use ww_rpc::peer_capnp::{executor, process};

use crate::stage::{Answer, Stage, close, compile, stdin, stdout, text, wait, write};

/// Says what bounds the child is to have.
type Ask = fn(limits::Builder<'_>);

async fn spawn(executor: &executor::Client, guest: &str, ask: Ask) -> Answer<process::Client> {
    let mut request = compile(executor, guest).await?.spawn_request();
    ask(request.get().init_options().init_limits());
    request.send().promise.await?.get()?.get_process()
}

/// Why a process did not exit by itself.
async fn verdict(process: Answer<process::Client>) -> String {
    let error = wait(&process.unwrap()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    error.extra
}

#[test]
fn a_child_has_the_bounds_that_its_parent_sets() {
    let cases: [(&str, Ask, &str); 4] = [
        (
            "hello",
            |mut limits| limits.set_memory_bytes(1 << 16),
            "more than its 65536 bytes of memory",
        ),
        (
            "spins",
            |mut limits| limits.set_cpu_nanos(2_000_000),
            "used up its 2ms of processor time",
        ),
        (
            "spins",
            |mut limits| limits.set_wall_nanos(3_000_000),
            "used up its 3ms of time",
        ),
        (
            "echo-child",
            |mut limits| limits.set_handles(1),
            "more than its 1 handles",
        ),
    ];
    Stage::run(async |stage| {
        let executor = stage.executor();
        for (guest, ask, why) in cases {
            let verdict = verdict(spawn(&executor, guest, ask).await).await;
            assert!(verdict.contains(why), "{guest}: {verdict}");
        }
        // What is not said is as the parent's own, which is enough.
        let said_nothing = spawn(&executor, "hello", |_| {}).await.unwrap();
        assert_eq!(wait(&said_nothing).await.unwrap(), 0);
    });
}

#[test]
fn no_child_has_wider_bounds_than_its_parent() {
    let mut own = Limits::default();
    own.memory = 1 << 16;
    let asks: [Ask; 3] = [
        |_| {},
        |mut limits| limits.set_memory_bytes(1 << 30),
        |mut limits| limits.set_memory_bytes(u64::MAX),
    ];
    Stage::run(async |stage| {
        let executor = Rc::new(stage.spawner(Offline::new()).limits(own)).client();
        for ask in asks {
            let verdict = verdict(spawn(&executor, "hello", ask).await).await;
            assert!(verdict.contains("its 65536 bytes of memory"), "{verdict}");
        }
    });
}

async fn run_image(executor: &executor::Client, path: &str) -> Answer<process::Client> {
    let mut request = executor.run_image_request();
    request.get().set_path(path);
    request.get().init_options().set_args(&["echo"][..])?;
    request.send().promise.await?.get()?.get_process()
}

/// What `echo-child` makes of a line.
async fn echoed(process: &process::Client) -> Answer<String> {
    let (input, output) = (stdin(process).await?, stdout(process).await);
    let feed = async {
        write(&input, b"a line\n").await?;
        close(&input).await
    };
    let (fed, said) = join(feed, text(output)).await;
    fed.map(|()| said)
}

#[test]
fn a_service_is_run_out_of_the_image_of_its_parent() {
    Stage::run(async |stage| {
        let spawner = stage.spawner(Offline::new());
        let image = example_images::path("pid0");
        let executor = Rc::new(spawner.image(image)).client();
        let process = run_image(&executor, "svc/echo-child").await.unwrap();
        assert!(echoed(&process).await.unwrap().contains("a line"));
        assert_eq!(wait(&process).await.unwrap(), 0);
        for (path, why) in [
            ("svc/none", "svc/none"),
            ("bin/main.wasm", "bin/main.wasm"),
            ("svc/echo-child/bin", "main.wasm"),
            ("../pid0/svc/echo-child", ".."),
        ] {
            let error = run_image(&executor, path).await.map(drop).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Failed, "{error}");
            assert!(error.extra.contains(why), "{path}: {error}");
        }
        let error = run_image(&stage.executor(), "svc/echo-child").await;
        let error = error.map(drop).unwrap_err();
        assert!(error.extra.contains("has no image"), "{error}");
    });
}

/// Gives the files of an image, unless it is out of order, and counts what it gives.
#[derive(Clone)]
struct Counting {
    files: Arc<Memory>,
    opened: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

#[async_trait]
impl Loader for Counting {
    async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
        if path.as_str() == "svc/never/bin/main.wasm" || path.as_str() == "svc/nowhere" {
            return std::future::pending().await;
        }
        if self.fails.load(Ordering::Relaxed) {
            return Err(ww_loader::Error::Io {
                path: path.clone(),
                loader: "a test's".into(),
                source: io::ErrorKind::ConnectionRefused.into(),
            });
        }
        let opened = self.files.open(path).await;
        if let Ok(Node::File(_)) = opened {
            self.opened.fetch_add(1, Ordering::Relaxed);
        }
        opened
    }
}

#[test]
fn a_service_is_read_once_as_long_as_its_program_is_there_and_errors_that_pass_say_so() {
    let path = "svc/echo-child/bin/main.wasm";
    let files = Memory::files([(path, example_images::wasm("echo-child"))]);
    let loader = Counting {
        files: Arc::new(files.unwrap()),
        opened: Arc::default(),
        fails: Arc::new(AtomicBool::new(true)),
    };
    Stage::run(async |stage| {
        let spawner = stage.spawner(Offline::new());
        let image = Image::new([Layer::new("a test's", loader.clone())]);
        let executor = Rc::new(spawner.image(image)).client();
        let error = run_image(&executor, "svc/echo-child").await;
        let error = error.map(drop).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Disconnected, "{error}");

        loader.fails.store(false, Ordering::Relaxed);
        for _ in 0..3 {
            let process = run_image(&executor, "svc/echo-child").await.unwrap();
            assert!(echoed(&process).await.unwrap().contains("a line"));
            assert_eq!(loader.opened.load(Ordering::Relaxed), 1);
        }
    });
}

#[test]
fn an_image_that_never_comes_holds_up_no_other() {
    let files = Memory::files([
        (
            "svc/echo-child/bin/main.wasm",
            example_images::wasm("echo-child"),
        ),
        ("svc/never/etc/motd", Vec::new()),
    ]);
    let loader = Counting {
        files: Arc::new(files.unwrap()),
        opened: Arc::default(),
        fails: Arc::default(),
    };
    Stage::run(async |stage| {
        let mut limits = Limits::default();
        limits.compilations = 2;
        let image = Image::new([Layer::new("a test's", loader)]);
        let spawner = stage.spawner(Offline::new()).image(image).limits(limits);
        let executor = Rc::new(spawner).client();
        let child = run_image(&executor, "svc/echo-child").await.unwrap();
        let below = child.executor_request().send().pipeline.get_executor();
        let mut never = Box::pin(run_image(&executor, "svc/never"));
        assert!(poll_once(&mut never).await.is_none());
        for _ in 0..100 {
            yield_now().await;
        }
        compile(&executor, "hello").await.unwrap();
        compile(&below, "hello").await.unwrap();
        run_image(&executor, "svc/echo-child").await.unwrap();
        // As many as may be looked for.
        let lost = [(); 2].map(|()| Box::pin(run_image(&executor, "svc/nowhere")));
        let mut lost = futures::future::join_all(lost);
        assert!(poll_once(&mut lost).await.is_none());
        let refused = run_image(&executor, "svc/nowhere").await;
        let refused = refused.map(drop).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Overloaded, "{refused}");
        assert!(refused.extra.contains("look for an image"), "{refused}");
    });
}

#[test]
fn a_child_has_scratch_directories_where_its_parent_says() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "wasi-probe").await.unwrap();
        let fill = async |path: &str| {
            let mut request = program.spawn_request();
            let mut options = request.get().init_options();
            options.set_args(&["wasi-probe", "fill", path][..])?;
            options.set_scratch(&[path][..])?;
            options.init_limits().set_scratch_bytes(100_000);
            request.send().promise.await?.get()?.get_process()
        };
        let process = fill("/tmp").await.unwrap();
        assert_eq!(
            text(stdout(&process).await).await,
            "wrote 90000, then Some(29)\nagain 10000\n"
        );
        assert_eq!(wait(&process).await.unwrap(), 0);
        let error = fill("tmp").await.map(drop).unwrap_err();
        assert!(error.extra.contains("is not absolute"), "{error}");

        let paths: Vec<_> = (0..17).map(|number| format!("/{number}")).collect();
        let many = async |count: usize| {
            let mut request = program.spawn_request();
            request.get().init_options().set_scratch(&paths[..count])?;
            request.send().promise.await?.get()?.get_process()
        };
        many(16).await.unwrap();
        let error = many(17).await.map(drop).unwrap_err();
        assert!(error.extra.contains("17 scratch directories"), "{error}");
    });
}

#[test]
fn the_image_of_a_cell_is_the_one_that_its_executor_runs_images_out_of() {
    let runtime = Runtime::shared().unwrap();
    let parent = Builder::new()
        .program(block_on(runtime.compile(example_images::wasm("echo-child"))).unwrap())
        .image(example_images::path("pid0"))
        .stdin(Input::piped());
    let parent = block_on(parent.spawn()).unwrap();
    let said = parent.with(async move |local: Local| {
        let spawner = Spawner::beside(&local, &runtime, Arc::new(Offline::new()));
        let process = run_image(&Rc::new(spawner).client(), "svc/echo-child").await?;
        Ok::<_, Error>(echoed(&process).await?)
    });
    assert!(block_on(said).unwrap().contains("a line"));
}

#[test]
fn a_child_too_many_takes_no_place_until_it_is_refused() {
    const SPAWNS: usize = 100;
    let runtime = Runtime::builder().workers(1).cells(1).build().unwrap();
    let mut limits = Limits::default();
    limits.children = 0;
    let program = block_on(runtime.compile(example_images::wasm("echo-child"))).unwrap();
    let parent = Builder::new()
        .program(program)
        .limits(limits)
        .stdin(Input::piped());
    let parent = block_on(parent.spawn()).unwrap();
    let tried = parent.with(async move |local: Local| {
        let spawner = Spawner::beside(&local, &runtime, Arc::new(Offline::new()));
        let program = compile(&Rc::new(spawner).client(), "echo-child").await?;
        let spawns = (0..SPAWNS).map(|_| program.spawn_request().send().promise);
        let mut spawns = join_all(spawns);
        // Looked at whenever they have got as far as they could.
        let mut most = 0;
        let answers = poll_fn(|cx| {
            let answers = Pin::new(&mut spawns).poll(cx);
            most = most.max(runtime.occupancy().cells);
            answers
        });
        let answers = answers.await;
        let refused = answers
            .iter()
            .filter(|answer| matches!(answer, Err(error) if error.kind == ErrorKind::Overloaded));
        Ok::<_, Error>((refused.count(), most))
    });
    assert_eq!(block_on(tried).unwrap(), (SPAWNS, 1));
}
