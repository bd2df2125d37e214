use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use futures::{AsyncReadExt, FutureExt};
use ww_core::cell::{Builder, Cell, Input, Local, Output};
use ww_core::clock::{Clock, Sleep};
use ww_core::{Error, Runtime};

use crate::patience::patiently;
use crate::stage::{Echo, Token, guest};
use crate::wat;

/// Until the guest has run for a while, as its cell's meter sees it.
async fn has_run(cell: &Cell) {
    while cell.usage().busy < Duration::from_millis(5) {
        // Each is a turn of the worker that the guest runs on.
        cell.with(async |_| Ok(())).await.expect("it runs");
    }
}

#[test]
fn a_kill_ends_guests_that_wait_and_guests_that_spin() {
    patiently(async {
        let waits = guest("exporter").stdin(Input::piped());
        let waits = waits.spawn().await.unwrap();
        let spins = guest("spins").spawn().await.unwrap();
        has_run(&spins).await;
        for cell in [waits, spins] {
            cell.kill();
            assert!(matches!(cell.wait().await, Err(Error::Killed)));
            cell.kill();
            assert!(matches!(cell.wait().await, Err(Error::Killed)));
            assert_eq!(cell.usage().memory, 0);
        }
    });
}

#[test]
fn dropping_a_driver_ends_a_guest_wherever_it_is() {
    let stuck = |verb: &str, token: &Token| {
        let token = token.clone();
        let image = guest("stuck").args([verb]);
        image.bootstrap(move |_| Ok(Echo::client(token)))
    };
    let starting = |function: &str| {
        wat::component(&format!(
            r#"(func $start {function}) (start $start)
            (func (export "run") (result i32) (i32.const 0))"#
        ))
    };
    let token = Token::default();
    let cases = [
        ("computes", stuck("spin", &token)),
        ("waits for a timer", stuck("sleep", &token)),
        ("reads", stuck("read", &token)),
        ("writes", stuck("write", &token)),
        ("starts, computing", starting("(loop (br 0))")),
        (
            "starts, reading",
            starting("(call $read (call $stdin) (i64.const 1) (i32.const 64))"),
        ),
    ];
    for (what, builder) in cases {
        let builder = builder.stdin(Input::piped()).stdout(Output::piped());
        let (cell, start) = patiently(builder.prepare()).unwrap();
        let _stdout = cell.take_stdout().unwrap();
        let mut driver = start.drive();
        // As many turns as take it there; one that computes is never done.
        for _ in 0..100 {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut driver).poll(&mut cx).is_pending(), "{what}");
        }
        assert!(cell.usage().memory > 0, "{what}");
        let before = cell.usage().interruptions;
        drop(driver);
        let end = cell.wait().now_or_never().expect("there is an answer");
        assert!(matches!(end, Err(Error::Dropped)), "{what}: {end:?}");
        let usage = cell.usage();
        assert_eq!((usage.memory, usage.interruptions), (0, before), "{what}");
    }
    assert!(!token.is_held_elsewhere());
}

/// Shows the time, and drops the cell that asks for it.
#[derive(Debug, Default)]
struct Fatal(Arc<Mutex<Option<Cell>>>);

impl Clock for Fatal {
    fn now(&self) -> Duration {
        drop(self.0.lock().expect("nobody panicked with it").take());
        Duration::ZERO
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep_until(&self, _: Duration) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn a_guest_that_sees_its_input_end_with_its_handle_was_killed() {
    let handle = Arc::default();
    let asks_then_reads = "(drop (call $subscribe (i64.const 0)))
        (call $read (call $stdin) (i64.const 1) (i32.const 64))";
    let builder = wat::run(asks_then_reads)
        .stdin(Input::piped())
        .clock(Fatal(Arc::clone(&handle)));
    let (cell, start) = patiently(builder.prepare()).unwrap();
    let end = cell.wait();
    *handle.lock().unwrap() = Some(cell);
    patiently(start.drive());
    assert!(handle.lock().unwrap().is_none(), "it asked for the time");
    let end = end.now_or_never().expect("it has ended");
    assert!(matches!(end, Err(Error::Killed)), "{end:?}");
}

#[test]
fn a_cell_that_was_killed_before_it_started_does_not_start() {
    patiently(async {
        let made = Token::default();
        let held = made.clone();
        let (cell, start) = guest("caller")
            .args(["seq", "1", "1"])
            .bootstrap(move |_| -> Result<capnp::capability::Client, _> {
                panic!(
                    "a cell that was killed asks for nothing: {}",
                    held.is_held_elsewhere()
                )
            })
            .prepare()
            .await
            .unwrap();
        cell.kill();
        start.drive().await;
        assert!(matches!(cell.wait().await, Err(Error::Killed)));
        assert_eq!(cell.usage(), Default::default());
        assert!(!made.is_held_elsewhere());
    });
}

#[test]
fn killing_what_has_exited_changes_nothing() {
    patiently(async {
        let cell = guest("exits").args(["3"]).spawn().await.unwrap();
        assert_eq!(cell.wait().await.unwrap().code(), 3);
        cell.kill();
        assert_eq!(cell.wait().await.unwrap().code(), 3);
    });
}

#[test]
fn neighbours_of_a_spinner_go_on() {
    patiently(async {
        let runtime = Runtime::builder().workers(1).build().unwrap();
        let on = |name: &str| {
            let image = example_images::path(name);
            Builder::new().runtime(&runtime).image(image)
        };
        let spinner = on("spins").spawn().await.unwrap();
        has_run(&spinner).await;

        let caller = on("caller")
            .args(["flight", "100", "64", "4"])
            .bootstrap(|_| Ok(Echo::client(Token::default())));
        let caller = caller.spawn().await.unwrap();
        assert_eq!(caller.wait().await.unwrap().code(), 0);

        let beside = on("hello").stdout(Output::piped()).beside(&spinner);
        let beside = beside.spawn().await.unwrap();
        assert_eq!(beside.wait().await.unwrap().code(), 0);

        let busy = spinner.usage().busy;
        assert!(spinner.with(async |_: Local| Ok(true)).await.unwrap());
        spinner.kill();
        assert!(matches!(spinner.wait().await, Err(Error::Killed)));
        assert!(spinner.usage().busy >= busy);
    });
}

#[test]
fn a_cell_beside_another_outlives_it_and_none_starts_beside_one_that_ended() {
    patiently(async {
        let first = guest("echo-child").stdin(Input::piped());
        let first = first.spawn().await.unwrap();
        let second = guest("echo-child")
            .stdin(Input::piped())
            .stdout(Output::piped())
            .beside(&first)
            .spawn()
            .await
            .unwrap();
        let thread = async |_: Local| Ok(std::thread::current().id());
        assert_eq!(
            first.with(thread).await.unwrap(),
            second.with(thread).await.unwrap()
        );
        first.kill();
        assert!(matches!(first.wait().await, Err(Error::Killed)));

        drop(second.take_stdin());
        let mut nothing = Vec::new();
        let mut stdout = second.take_stdout().unwrap();
        stdout.read_to_end(&mut nothing).await.unwrap();
        assert_eq!(second.wait().await.unwrap().code(), 0);

        let late = guest("hello").beside(&first).spawn().await;
        assert!(matches!(late, Err(Error::Ended { .. })), "{late:?}");
    });
}

#[test]
fn usage_counts_what_was_used() {
    patiently(async {
        let builder = guest("echo-child").stdin(Input::piped());
        let (cell, start) = builder.prepare().await.unwrap();
        assert_eq!(cell.usage(), Default::default());
        let drive = start.drive();
        let hold = async {
            cell.with(async |_| Ok(())).await.unwrap();
            let used = cell.usage();
            assert!(used.busy > Duration::ZERO);
            assert!(
                used.memory > 0 && used.memory <= used.peak_memory,
                "{used:?}"
            );
            drop(cell.take_stdin());
            cell.wait().await.unwrap();
            assert_eq!(cell.usage().memory, 0);
            assert!(cell.usage().peak_memory >= used.peak_memory);
            assert!(cell.usage().busy > used.busy);
        };
        futures::join!(drive, hold);
    });
}
