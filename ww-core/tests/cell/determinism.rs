//! With a clock and a source of chance of the host's own, a cell does the same
//! each time.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::future::{Either, select};
use futures::{AsyncReadExt, FutureExt};
use ww_core::Error;
use ww_core::cell::{Input, Local, Output};
use ww_core::clock::{Clock, Virtual};
use ww_core::network::Offline;
use ww_core::random::Seeded;
use ww_core::serve::Spawner;
use ww_rpc::peer_capnp::executor;
use ww_rpc::stream;

use crate::patience::patiently;
use crate::stage::{RUNTIME, Wakes, guest};

/// An `Executor` whose answers depend on what it was told before, and when.
struct Scribe {
    clock: Virtual,
    told: Arc<Mutex<Vec<String>>>,
    count: RefCell<usize>,
}

impl executor::Server for Scribe {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        let message = params.get()?.get_message()?.to_string()?;
        *self.count.borrow_mut() += message.len();
        let answer = "!".repeat(*self.count.borrow() % 100);
        results.get().set_response(&answer);
        let line = format!("{:?}: {message} {answer}", self.clock.now());
        self.told.lock().expect("nobody panics").push(line);
        Ok(())
    }
}

/// All that can be seen of one life.
#[derive(Debug, PartialEq)]
struct Life {
    stdout: String,
    calls: Vec<String>,
    rpc: (u64, u64),
    ended: Duration,
}

fn live(seed: u64) -> Life {
    let clock = Virtual::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let told = Arc::new(Mutex::new(Vec::new()));
    let scribe = (clock.clone(), told.clone());
    let builder = guest("dice")
        .clock(clock.clone())
        .random(Seeded::new(seed))
        .stdout(Output::piped())
        .bootstrap(move |_| {
            let (clock, told) = scribe;
            Ok(capnp_rpc::new_client::<executor::Client, _>(Scribe {
                clock,
                told,
                count: RefCell::default(),
            }))
        });
    let (cell, start) = patiently(builder.prepare()).expect("it is ready");
    let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
    while wakes.settle(&mut driver).is_pending() {
        // It waits, so it sleeps: for its next deadline, and not a moment more.
        let deadline = clock.slept_on().now_or_never().expect("it sleeps");
        clock.advance(deadline - clock.now());
    }
    assert!(patiently(cell.wait()).expect("it exits").success());
    let mut stdout = String::new();
    let mut reader = cell.take_stdout().expect("it is piped");
    patiently(reader.read_to_string(&mut stdout)).expect("it is text");
    let usage = cell.usage();
    let calls = told.lock().expect("nobody panics").clone();
    Life {
        stdout,
        calls,
        rpc: (usage.rpc_in, usage.rpc_out),
        ended: clock.now(),
    }
}

#[test]
fn the_same_seed_gives_the_same_life_byte_for_byte() {
    let life = live(1);
    assert_eq!(life.calls.len(), 8);
    assert!(life.stdout.contains("order") && life.stdout.contains("told at"));
    assert!(life.rpc.0 > 0 && life.rpc.1 > 0);
    for _ in 0..3 {
        assert_eq!(live(1), life);
    }
}

#[test]
fn another_seed_gives_another_life() {
    let (one, other) = (live(1), live(2));
    assert_ne!(one.calls, other.calls);
    let lines = one.stdout.lines().zip(other.stdout.lines());
    for (one, other) in lines.take(4) {
        assert_ne!(one, other, "chance decides it");
    }
}

/// What a child says, of a parent whose clock and chance are replaced.
fn childhood(seed: u64) -> String {
    let clock = Virtual::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let parent = guest("echo-child")
        .stdin(Input::piped())
        .clock(clock.clone())
        .random(Seeded::new(seed));
    patiently(async {
        let (cell, start) = parent.prepare().await.expect("it is ready");
        let scribes = clock.clone();
        let said = cell.with(async move |local: Local| {
            let scribe: executor::Client = capnp_rpc::new_client(Scribe {
                clock: scribes,
                told: Arc::default(),
                count: RefCell::default(),
            });
            let spawner = Spawner::beside(&local, &RUNTIME, Arc::new(Offline::new()));
            let mut compile = Rc::new(spawner).client().compile_request();
            compile.get().set_wasm(&example_images::wasm("dice"));
            let compiled = compile.send().promise.await?;
            let mut spawn = compiled.get()?.get_program()?.spawn_request();
            let mut bootstrap = spawn.get().init_bootstrap();
            bootstrap.set_as_capability(scribe.client.hook);
            let process = spawn.send().promise.await?.get()?.get_process()?;
            let stdout = process.stdout_request().send().promise.await?;
            let mut stdout = stream::Reader::new(stdout.get()?.get_stream()?);
            let mut said = String::new();
            let read = stdout.read_to_string(&mut said).await;
            read.expect("it is text");
            Ok::<_, Error>(said)
        });
        let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
        let driving = poll_fn(|cx| wakes.pass(&mut driver, &clock, cx));
        match select(driving, Box::pin(said)).await {
            Either::Right((said, _)) => said.expect("the child runs"),
            Either::Left(_) => panic!("the parent waits"),
        }
    })
}

#[test]
fn children_have_their_time_and_chance_of_their_parent() {
    let said = childhood(1);
    assert!(said.contains("order") && said.contains("told at"), "{said}");
    for _ in 0..3 {
        assert_eq!(childhood(1), said);
    }
    assert_ne!(childhood(2), said);
}
