//! Cells that a process's own executor runs: below it, within its bounds.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use capnp::ErrorKind;
use futures::future::Either;
use futures_lite::AsyncReadExt;
use futures_lite::future::{block_on, yield_now, zip};
use ww_core::Runtime;
use ww_core::cell::{Builder, Limit, Limits, Output, Usage};
use ww_core::network::Offline;
use ww_core::serve::Spawner;
use ww_image::Image;
use ww_loader::Memory;
use ww_rpc::cell_capnp::{limits, usage};
use ww_rpc::peer_capnp::{executor, process};

use crate::stage::{Answer, Spawn, Stage, compile, compile_small, kill, wait};

/// Three guests that run one another, one within the other.
fn nested() -> Image {
    let nests = example_images::wasm("nests");
    let paths = ["", "svc/nests/", "svc/nests/svc/nests/"];
    let files = paths.map(|within| (format!("{within}bin/main.wasm"), nests.clone()));
    Image::from(Memory::files(files).expect("these are paths"))
}

/// What the outermost of them says, and what it has used, if it may have so many cells
/// below it.
fn nests(children: usize) -> (String, Usage) {
    let runtime = Runtime::shared().unwrap();
    let mut limits = Limits::default();
    limits.children = children;
    let spawns = runtime.clone();
    let builder = Builder::new()
        .image(nested())
        .args(["within"])
        .limits(limits)
        .stdout(Output::piped())
        .bootstrap(move |local| {
            let spawner = Spawner::beside(local, &spawns, Arc::new(Offline::new()));
            Ok(Rc::new(spawner).client())
        });
    block_on(async {
        let cell = builder.spawn().await.unwrap();
        let mut stdout = cell.take_stdout().unwrap();
        let mut text = String::new();
        let (exit, read) = zip(cell.wait(), stdout.read_to_string(&mut text)).await;
        read.unwrap();
        assert_eq!(exit.unwrap().code(), 0);
        (text, cell.usage())
    })
}

#[test]
fn a_guest_hands_its_child_the_executor_of_the_childs_own_process() {
    let (said, used) = nests(2);
    assert_eq!(said, "it exited with 0\n");
    assert_eq!(used.refused, None);
    assert_eq!((used.children, used.memory_below), (0, 0));
    // The one below its child counts for it as well.
    let (said, used) = nests(1);
    assert_eq!(said, "it exited with 1\n");
    assert_eq!(
        (used.refused, used.refused_below),
        (None, Some(Limit::Children))
    );
}

async fn bounded(
    executor: &executor::Client,
    ask: fn(limits::Builder<'_>),
) -> Answer<process::Client> {
    let mut request = compile(executor, "echo-child").await?.spawn_request();
    ask(request.get().init_options().init_limits());
    request.send().promise.await?.get()?.get_process()
}

fn below(process: &process::Client) -> executor::Client {
    process.executor_request().send().pipeline.get_executor()
}

async fn used<T>(process: &process::Client, of: fn(usage::Reader<'_>) -> T) -> T {
    let response = process.usage_request().send().promise.await.unwrap();
    of(response.get().unwrap().get_usage().unwrap())
}

#[test]
fn cells_below_a_child_are_within_its_bounds_and_end_with_it() {
    Stage::run(async |stage| {
        let narrow = |mut limits: limits::Builder<'_>| limits.set_children(1);
        let child = bounded(&stage.executor(), narrow).await.unwrap();
        let executor = below(&child);
        let grandchild = bounded(&executor, |_| {}).await.unwrap();
        let second = bounded(&executor, |_| {}).await.map(drop).unwrap_err();
        assert_eq!(second.kind, ErrorKind::Overloaded, "{second}");
        assert!(second.extra.contains("its 1 children"), "{second}");
        assert_eq!(used(&child, |used| used.get_children()).await, 1);
        while used(&grandchild, |used| used.get_memory_bytes()).await == 0 {
            yield_now().await;
        }
        assert!(used(&child, |used| used.get_memory_below_bytes()).await > 0);

        kill(&child).await.unwrap();
        let ended = wait(&grandchild).await.unwrap_err();
        assert_eq!(ended.kind, ErrorKind::Disconnected, "{ended}");
        assert_eq!(used(&child, |used| used.get_children()).await, 0);
        let late = bounded(&executor, |_| {}).await.map(drop).unwrap_err();
        assert_eq!(late.kind, ErrorKind::Disconnected, "{late}");
    });
}

#[test]
fn an_executor_that_is_kept_does_not_keep_its_cell_alive() {
    Stage::run(async |stage| {
        let child = stage.spawn("echo-child", &["echo-child"]).await;
        let executor = below(&child);
        let grandchild = bounded(&executor, |_| {}).await.unwrap();
        drop(child);
        let ended = wait(&grandchild).await.unwrap_err();
        assert_eq!(ended.kind, ErrorKind::Disconnected, "{ended}");
    });
}

#[test]
fn what_is_compiled_below_a_child_counts_above_it() {
    Stage::run(async |stage| {
        let spawner = |code| {
            let mut limits = Limits::default();
            limits.code = code;
            Rc::new(stage.spawner(Offline::new()).limits(limits)).client()
        };
        let size = async |guest| {
            let refused = compile(&spawner(0), guest).await.map(drop).unwrap_err();
            let (_, size) = refused.extra.rsplit_once(' ').unwrap();
            size.parse::<usize>().unwrap()
        };
        let most = size("echo-child").await + size("hello").await - 1;
        let above = spawner(most);
        let child = bounded(&above, |_| {}).await.unwrap();
        let executor = below(&child);
        // What is held above counts once.
        compile(&executor, "echo-child").await.unwrap();
        let refused = compile(&executor, "hello").await.map(drop).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Overloaded, "{refused}");
        assert!(refused.extra.contains(&most.to_string()), "{refused}");
        // It is the family's bound that was met.
        let other = bounded(&spawner(most + 1), |_| {}).await.unwrap();
        let held = compile(&below(&other), "hello").await.unwrap();
        let process = Spawn::args(&["hello"]).spawn(&held).await.unwrap();
        assert_eq!(wait(&process).await.unwrap(), 0);
    });
}

#[test]
fn so_many_calls_wait_for_a_compilation_and_those_of_a_child_count_above_it() {
    Stage::run(async |stage| {
        let mut limits = Limits::default();
        limits.compilations = 2;
        let above = Rc::new(stage.spawner(Offline::new()).limits(limits)).client();
        let child = bounded(&above, |_| {}).await.unwrap();
        let executor = below(&child);
        let ask = |executor: &executor::Client| {
            let mut request = executor.compile_request();
            request.get().set_wasm(&example_images::wasm("hello"));
            request.send().promise
        };
        let asked = [&above, &executor, &executor, &above].map(ask);
        let answered = futures::future::join_all(asked).await;
        let refused: Vec<_> = answered.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), 2, "{refused:?}");
        for refused in refused {
            assert_eq!(refused.kind, ErrorKind::Overloaded, "{refused}");
            assert!(refused.extra.contains("2 of its calls wait"), "{refused}");
        }
        compile(&executor, "hello").await.unwrap();
    });
}

#[test]
fn whoever_waits_for_the_compiler_has_its_turn_before_those_that_come_later() {
    Stage::run(async |stage| {
        let above = stage.executor();
        let child = bounded(&above, |_| {}).await.unwrap();
        let executor = below(&child);
        let compiled = Cell::new(0);
        let floods = async || {
            loop {
                let number = compiled.replace(compiled.get() + 1);
                compile_small(&executor, number).await.unwrap();
            }
        };
        let waits = async {
            while compiled.get() < 10 {
                yield_now().await;
            }
            for number in 1_000_000..1_000_005 {
                compile_small(&above, number).await.unwrap();
            }
        };
        let flood = futures::future::join_all((0..3).map(|_| floods()));
        let (flood, waits) = (std::pin::pin!(flood), std::pin::pin!(waits));
        match futures::future::select(waits, flood).await {
            Either::Left(((), _)) => {}
            Either::Right(_) => unreachable!("it goes on for ever"),
        }
    });
}
