//! What keeps a child alive, and what ends it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{join, poll_immediate};
use futures_lite::future::yield_now;
use ww_core::cell::{Builder, Cell, Input, Limit, Limits};
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_core::{Error, Runtime};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, executor, process};

use crate::stage::{
    Answer, Spawn, Stage, compile, compile_small, echo, kill, read, stderr, stdin, stdout, wait,
    write,
};

thread_local! {
    /// Children do not leave their thread, and live on here.
    static KEPT: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// Is held by the child's connection, and so dropped when the child has ended.
struct Held(#[allow(dead_code, reason = "its drop is what is looked for")] oneshot::Sender<()>);

impl executor::Server for Held {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Answer<()> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

type Hold = Pin<Box<dyn Future<Output = Box<dyn std::any::Any>>>>;

#[test]
fn a_child_lives_while_its_process_or_a_call_on_it_or_a_stream_is_held() {
    let holds: [(&str, fn(process::Client) -> Hold); 6] = [
        ("the process", |process| {
            Box::pin(async { Box::new(process) as _ })
        }),
        ("a call on it", |process| {
            Box::pin(async move { Box::new(process.wait_request().send()) as _ })
        }),
        ("stdin", |process| {
            Box::pin(async move { Box::new(stdin(&process).await.unwrap()) as _ })
        }),
        ("stdout", |process| {
            Box::pin(async move { Box::new(stdout(&process).await.unwrap()) as _ })
        }),
        ("stderr", |process| {
            Box::pin(async move { Box::new(stderr(&process).await.unwrap()) as _ })
        }),
        ("a call on a stream", |process| {
            Box::pin(
                async move { Box::new(stdout(&process).await.unwrap().read_request().send()) as _ },
            )
        }),
    ];
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "caller").await.unwrap();
        for (what, hold) in holds {
            let (held, mut ended) = oneshot::channel();
            let client: executor::Client = capnp_rpc::new_client(Held(held));
            let process = Spawn::args(&["caller", "seq", "1000000000", "1"])
                .bootstrap(client)
                .spawn(&program)
                .await
                .unwrap();
            let hold = hold(process).await;
            // Between two of them the child has many turns.
            for _ in 0..3 {
                yield_now().await;
            }
            assert!(
                poll_immediate(&mut ended).await.is_none(),
                "{what} did not hold"
            );
            drop(hold);
            assert!(ended.await.is_err());
        }
    });
}

#[test]
fn a_stream_serves_on_after_its_process_was_dropped() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let (stdin, stdout) = join(stdin(&process), stdout(&process)).await;
        let (stdin, stdout) = (stdin.unwrap(), stdout.unwrap());
        drop(process);
        write(&stdin, b"still\n").await.unwrap();
        assert_eq!(read(&stdout, 100).await.unwrap(), b"still\n");
        drop(stdin);
        assert_eq!(read(&stdout, 100).await.unwrap(), b"");
    });
}

#[test]
fn nobody_left_who_could_write_is_the_end_of_stdin() {
    Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let stdout = stdout(&process).await.unwrap();
        drop(process);
        assert_eq!(read(&stdout, 100).await.unwrap(), b"");
    });
}

#[test]
fn what_a_child_exports_does_not_keep_it_alive() {
    Stage::run(async |stage| {
        let process = stage.spawn("exporter", &["exporter"]).await;
        let response = process.bootstrap_request().send().promise.await.unwrap();
        let exported: executor::Client = response
            .get()
            .unwrap()
            .get_cap()
            .get_as_capability()
            .unwrap();
        assert_eq!(echo(&exported, "hey").await.unwrap(), "Echo: hey");
        drop(process);
        let error = echo(&exported, "hey").await.unwrap_err();
        assert_eq!(error.kind, capnp::ErrorKind::Disconnected, "{error}");
    });
}

#[test]
fn a_driver_that_is_dropped_ends_its_cells() {
    let (process, wait_early) = Stage::run(async |stage| {
        let process = stage.spawn("echo-child", &["echo-child"]).await;
        let mut waiting = Box::pin(wait_owned(process.clone()));
        assert!(poll_immediate(&mut waiting).await.is_none());
        (process, waiting)
    });
    futures_lite::future::block_on(async {
        for ended in [wait_early.await, wait(&process).await] {
            let error = ended.unwrap_err();
            assert!(error.extra.contains("dropped"), "{error}");
        }
    });
}

async fn wait_owned(process: process::Client) -> Answer<i32> {
    wait(&process).await
}

#[test]
fn a_cell_has_no_more_children_than_it_may() {
    Stage::run(async |stage| {
        let mut limits = Limits::default();
        limits.children = 3;
        let runtime = Runtime::shared().unwrap();
        let parent = parent(&stage, limits).await;
        let spawning = parent.with(move |local| async move {
            let spawner = Spawner::beside(&local, &runtime, Arc::new(Offline::new()));
            let program = compile(&Rc::new(spawner).client(), "exporter").await?;
            let spawn = || Spawn::args(&["exporter"]).spawn(&program);
            let mut children = Vec::new();
            for _ in 0..3 {
                children.push(spawn().await?);
            }
            let refused = spawn().await.map(drop).unwrap_err();
            assert_eq!(refused.kind, capnp::ErrorKind::Overloaded, "{refused}");
            assert!(refused.extra.contains("3 children"), "{refused}");
            // One that has ended does not count, whoever holds its process.
            drop(stdin(&children[1]).await?);
            assert_eq!(wait(&children[1]).await?, 0);
            children.push(spawn().await?);
            spawn().await.map(drop).unwrap_err();
            Ok(())
        });
        spawning.await.unwrap();
        assert_eq!(parent.usage().refused, Some(Limit::Children));
    });
}

#[test]
fn what_the_sessions_of_a_cell_hold_of_programs_is_counted_together() {
    Stage::run(async |stage| {
        let runtime = Runtime::shared().unwrap();
        let parent = parent(&stage, Limits::default()).await;
        let holding = parent.with(move |local| async move {
            let executor = || {
                let network = Arc::new(Offline::new());
                Rc::new(Spawner::beside(&local, &runtime, network)).client()
            };
            let mut programs = Vec::new();
            for number in 0..256 {
                programs.push(compile_small(&executor(), number).await?);
            }
            let refused = compile_small(&executor(), 256).await.map(drop);
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind, capnp::ErrorKind::Overloaded, "{refused}");
            programs.pop();
            compile_small(&executor(), 256).await?;
            Ok(())
        });
        holding.await.unwrap();
    });
}

/// A cell that waits beside the test.
async fn parent(stage: &Stage, limits: Limits) -> Cell {
    let exporter = example_images::wasm("exporter");
    let program = Runtime::shared().unwrap().compile(exporter).await;
    let parent = Builder::new()
        .program(program.unwrap())
        .stdin(Input::piped())
        .limits(limits);
    let (parent, start) = parent.prepare().await.unwrap();
    stage.drive(start.drive());
    parent
}

#[test]
fn a_child_has_the_limits_of_its_spawner() {
    Stage::run(async |stage| {
        let runtime = Runtime::shared().unwrap();
        let parent = parent(&stage, Limits::default()).await;
        let spawning = parent.with(move |local| async move {
            let mut less = Limits::default();
            less.cpu = Some(Duration::from_millis(10));
            let spawner = Spawner::beside(&local, &runtime, Arc::new(Offline::new()));
            let program = compile(&Rc::new(spawner.limits(less)).client(), "spins").await?;
            let child = Spawn::args(&["spins"]).spawn(&program).await?;
            let ended = wait(&child).await.unwrap_err();
            assert_eq!(ended.kind, capnp::ErrorKind::Overloaded, "{ended}");
            assert!(ended.extra.contains("10ms of processor time"), "{ended}");
            Ok(())
        });
        spawning.await.unwrap();
        drop(parent.take_stdin());
        assert!(parent.wait().await.unwrap().success());
    });
}

#[test]
fn a_cell_spends_its_time_through_its_children_too() {
    const OWN: Duration = Duration::from_millis(100);
    const CHILDS: Duration = Duration::from_millis(40);
    Stage::run(async |stage| {
        let mut limits = Limits::default();
        limits.cpu = Some(OWN);
        let runtime = Runtime::shared().unwrap();
        let parent = parent(&stage, limits).await;
        // One after the other: the first two end by themselves.
        let spawning = parent.with(move |local| async move {
            let spawner = Spawner::beside(&local, &runtime, Arc::new(Offline::new()));
            let program = compile(&Rc::new(spawner).client(), "spins").await?;
            for _ in 0..3 {
                let mut request = program.spawn_request();
                let mut options = request.get().init_options();
                options.reborrow().set_args(&["spins"][..])?;
                options
                    .init_limits()
                    .set_cpu_nanos(CHILDS.as_nanos() as u64);
                let child = request.send().promise.await?.get()?.get_process()?;
                wait(&child).await.unwrap_err();
            }
            Ok(())
        });
        spawning.await.expect_err("it has spent what it had");
        match parent.wait().await {
            Err(Error::Limit { limit, bound }) => {
                assert_eq!((limit, bound), (Limit::Cpu, OWN.as_nanos() as u64));
            }
            other => panic!("{other:?}"),
        }
        let usage = parent.usage();
        assert!(usage.busy + usage.busy_below >= OWN, "{usage:?}");
        assert!(usage.busy_below > Duration::ZERO, "{usage:?}");
    });
}

/// A child that waits for more on its standard input.
struct Waiting {
    process: process::Client,
    _input: byte_stream::Client,
    /// Bytes of memory.
    held: usize,
}

async fn waiting(program: &program::Client) -> Answer<Waiting> {
    let child = Spawn::args(&["echo"]).spawn(program).await?;
    let (input, output) = (stdin(&child).await?, stdout(&child).await?);
    write(&input, b"a line\n").await?;
    if read(&output, 64).await?.is_empty() {
        // It ended.
        wait(&child).await?;
    }
    let usage = child.usage_request().send().promise.await?;
    let held = usage.get()?.get_usage()?.get_memory_bytes();
    Ok(Waiting {
        process: child,
        _input: input,
        held: held as usize,
    })
}

#[test]
fn a_cells_memory_is_what_its_children_hold_too() {
    Stage::run(async |stage| {
        let runtime = Runtime::shared().unwrap();
        let family = async |limits, count: usize| {
            let parent = parent(&stage, limits).await;
            let runtime = runtime.clone();
            let spawning = parent.with(move |local| async move {
                let spawner = Spawner::beside(&local, &runtime, Arc::new(Offline::new()));
                let program = compile(&Rc::new(spawner).client(), "echo-child").await?;
                let mut children = Vec::new();
                for _ in 0..count {
                    children.push(waiting(&program).await?);
                }
                let refused = waiting(&program).await.map(|child| child.held);
                kill(&children.pop().unwrap().process).await?;
                let again = waiting(&program).await.map(|child| child.held);
                KEPT.set(children);
                Ok((refused, again))
            });
            let answers = spawning.await.unwrap();
            (parent.usage(), answers)
        };
        let (usage, (one, again)) = family(Limits::default(), 1).await;
        let one = one.unwrap();
        assert_eq!(again.unwrap(), one);

        let mut limits = Limits::default();
        limits.memory = usage.memory + 2 * one + one / 2;
        let (usage, (refused, again)) = family(limits, 2).await;
        let error = refused.unwrap_err();
        let bound = format!("more than its {} bytes of memory", limits.memory);
        assert!(error.extra.contains(&bound), "{error}");
        // The place of one that was killed was there for another, which has ended.
        assert_eq!(again.unwrap(), one);
        assert_eq!(usage.memory_below, one);
        assert_eq!(usage.refused_below, Some(Limit::Memory));
    });
}
