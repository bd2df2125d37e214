//! Programs, and what their cells bootstrap and export.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use capnp::ErrorKind;
use capnp::capability::FromClientHook;
use futures_lite::future::{block_on, poll_once, yield_now};
use ww_core::cache::Cache;
use ww_core::cell::Limits;
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_core::{Phase, Runtime};
use ww_membrane::Membrane;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{executor, process};

use crate::stage::{
    Answer, Spawn, Stage, compile, compile_small, echo, kill, stderr, stdin, stdout, text, wait,
};

/// An executor of the test's own, that answers in its own words.
struct Shout;

impl executor::Server for Shout {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Answer<()> {
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(message.to_uppercase());
        Ok(())
    }
}

async fn exported(process: &process::Client) -> executor::Client {
    let response = process.bootstrap_request().send().promise.await.unwrap();
    response
        .get()
        .unwrap()
        .get_cap()
        .get_as_capability()
        .unwrap()
}

#[test]
fn a_child_bootstraps_what_its_parent_hands_down_and_nothing_else() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "probe-streams").await.unwrap();
        let shout: executor::Client = capnp_rpc::new_client(Shout);
        for _ in 0..2 {
            let process = Spawn::args(&["probe", "hey"])
                .bootstrap(shout.clone())
                .spawn(&program)
                .await
                .unwrap();
            assert_eq!(text(stdout(&process).await).await, "HEY\n");
            assert_eq!(wait(&process).await.unwrap(), 0);
        }
        let process = Spawn::args(&["probe", "hey"])
            .spawn(&program)
            .await
            .unwrap();
        assert_eq!(wait(&process).await.unwrap(), 1);
        assert_ne!(text(stderr(&process).await).await, "");
    });
}

#[test]
fn rpc_over_stdio_takes_stdin_and_stdout() {
    Stage::run(async |stage| {
        let program = compile(&stage.executor(), "probe-stdio").await.unwrap();
        let spawn = Spawn {
            stdio: true,
            ..Spawn::args(&["probe", "hey"])
        };
        let shout: executor::Client = capnp_rpc::new_client(Shout);
        let process = spawn.bootstrap(shout).spawn(&program).await.unwrap();
        for (taken, name) in [
            (stdin(&process).await, "standard input"),
            (stdout(&process).await, "standard output"),
        ] {
            let error = taken.map(drop).unwrap_err();
            assert!(
                error.extra.contains(name) && error.extra.contains("RPC"),
                "{error}"
            );
        }
        assert_eq!(text(stderr(&process).await).await, "HEY\n");
        assert_eq!(wait(&process).await.unwrap(), 0);
    });
}

#[test]
fn a_parent_reaches_what_its_child_exports() {
    Stage::run(async |stage| {
        let process = stage.spawn("exporter", &["exporter"]).await;
        // Before the child has run at all, by pipelining.
        let response = process.bootstrap_request().send();
        let early: executor::Client = FromClientHook::new(response.pipeline.get_cap().as_cap());
        assert_eq!(echo(&early, "early").await.unwrap(), "Echo: early");
        let late = exported(&process).await;
        assert_eq!(echo(&late, "late").await.unwrap(), "Echo: late");

        kill(&process).await.unwrap();
        for client in [early, late, exported(&process).await] {
            let error = echo(&client, "gone").await.unwrap_err();
            assert_eq!(error.kind, capnp::ErrorKind::Disconnected, "{error}");
        }
    });
}

#[test]
fn a_child_that_exports_nothing_breaks_the_promise() {
    Stage::run(async |stage| {
        for guest in ["hello", "exits"] {
            let process = stage.spawn(guest, &[guest]).await;
            let error = echo(&exported(&process).await, "hey").await.unwrap_err();
            assert_eq!(error.kind, capnp::ErrorKind::Disconnected, "{error}");
        }
    });
}

#[test]
fn what_a_child_without_rpc_was_asked_for_before_it_ran_says_so() {
    Stage::run(async |stage| {
        let program = compile_small(&stage.executor(), 1).await.unwrap();
        let spawned = program.spawn_request().send();
        let asked = spawned.pipeline.get_process().bootstrap_request().send();
        let exported: executor::Client = FromClientHook::new(asked.pipeline.get_cap().as_cap());
        let error = echo(&exported, "hey").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Disconnected, "{error}");
        assert!(error.extra.contains("speaks no RPC"), "{error}");
    });
}

#[test]
fn what_is_handed_down_passes_the_membrane() {
    /// Revokes the membrane at the third call.
    struct Trip {
        membrane: Membrane,
        calls: Rc<Cell<u32>>,
    }

    impl executor::Server for Trip {
        async fn echo(
            self: Rc<Self>,
            params: executor::EchoParams,
            mut results: executor::EchoResults,
        ) -> Answer<()> {
            self.calls.set(self.calls.get() + 1);
            if self.calls.get() == 3 {
                self.membrane
                    .revoke(capnp::Error::disconnected("enough of it".into()));
            }
            let message = params.get()?.get_message()?.to_str()?;
            results.get().set_response(format!("Echo: {message}"));
            Ok(())
        }
    }

    // By an executor, and by that of one of its cells.
    let handed = async |stage: Stage, below: bool| {
        let membrane = Membrane::ungated();
        let spawner = stage.spawner(Offline::new()).membrane(membrane.clone());
        let mut executor = Rc::new(spawner).client();
        let mut kept = None;
        if below {
            let program = compile(&executor, "echo-child").await.unwrap();
            let child = Spawn::args(&["echo-child"]).spawn(&program).await.unwrap();
            executor = child.executor_request().send().pipeline.get_executor();
            kept = Some(child);
        }
        let program = compile(&executor, "caller").await.unwrap();
        let calls = Rc::new(Cell::new(0));
        let trip: executor::Client = capnp_rpc::new_client(Trip {
            membrane,
            calls: calls.clone(),
        });
        let spawn = Spawn::args(&["caller", "seq", "100", "1"]).bootstrap(trip);
        let process = spawn.spawn(&program).await.unwrap();
        assert_eq!(wait(&process).await.unwrap(), 1);
        let text = text(stderr(&process).await).await;
        assert!(text.contains("enough of it"), "{text}");
        assert_eq!(calls.get(), 3);
        drop(kept);
    };
    for below in [false, true] {
        Stage::run(async |stage| handed(stage, below).await);
    }
}

#[test]
fn programs_count_as_large_at_the_least_so_that_there_are_so_many_at_the_most() {
    Stage::run(async |stage| {
        let executor = stage.executor();
        let compile = async |number| compile_small(&executor, number).await;
        let mut programs = Vec::new();
        for number in 0..256 {
            programs.push(compile(number).await.unwrap());
        }
        let refused = compile(256).await.map(drop).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Overloaded, "{refused}");
        // One that is held already is not one more.
        programs.push(compile(255).await.unwrap());
        programs.remove(1);
        programs.push(compile(256).await.unwrap());
        assert!(compile(1).await.is_err());
    });
}

#[test]
fn a_compilation_that_was_given_up_keeps_its_turn_until_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let kept = || std::fs::read_dir(&path).unwrap().count();
    let cache = Cache::open(&path).unwrap();
    let runtime = Runtime::builder().cache(cache).build().unwrap();
    let before = kept();
    let spawner = Spawner::new(&runtime, Arc::new(Offline::new()), |_| ());
    let executor = Rc::new(spawner).client();
    block_on(async {
        let slow = example_images::wasm("caller");
        let mut request = executor.compile_request();
        request.get().set_wasm(&slow);
        let mut given_up = Box::pin(request.send().promise);
        assert!(poll_once(&mut given_up).await.is_none());
        // This shares it, and tells when the compiler has begun.
        let begun = Arc::new(AtomicBool::new(false));
        let begins = begun.clone();
        let shares = runtime.compile(slow).observe(move |phase| {
            begins.fetch_or(phase == Phase::Compiling, Ordering::SeqCst);
        });
        let mut shares = Box::pin(shares);
        while !begun.load(Ordering::SeqCst) {
            let _ = (poll_once(&mut given_up).await, poll_once(&mut shares).await);
            yield_now().await;
        }
        drop((given_up, shares));
        compile(&executor, "hello").await.unwrap();
        // That of the other is there as well.
        assert_eq!(kept(), before + 2);
    });
}

/// What the error says of machine code: how many bytes there would be.
fn code(refused: Answer<program::Client>) -> usize {
    let error = refused.map(drop).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.extra.contains("bytes of machine code"), "{error}");
    let (_, would_be) = error.extra.rsplit_once(' ').unwrap();
    would_be.parse().unwrap()
}

#[test]
fn the_machine_code_that_a_cell_holds_is_bounded_and_each_program_counts_once() {
    Stage::run(async |stage| {
        let bounded = |most| {
            let mut limits = Limits::default();
            limits.code = most;
            Rc::new(stage.spawner(Offline::new()).limits(limits)).client()
        };
        let none = bounded(0);
        let hello = code(compile(&none, "hello").await);
        let echo = code(compile(&none, "echo-child").await);

        let executor = bounded(hello.max(echo));
        let first = compile(&executor, "hello").await.unwrap();
        let again = compile(&executor, "hello").await.unwrap();
        assert_eq!(code(compile(&executor, "echo-child").await), hello + echo);
        drop(first);
        // A cell holds it as well, whoever else does.
        let child = Spawn::args(&["hello"]).spawn(&again).await.unwrap();
        drop(again);
        yield_now().await;
        code(compile(&executor, "echo-child").await);
        wait(&child).await.unwrap();
        drop(child);
        while let Err(error) = compile(&executor, "echo-child").await {
            assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
            yield_now().await;
        }
    });
}
