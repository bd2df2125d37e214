//! What a cell's limits refuse, what they end, and who is told which it was.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use ww_core::cell::{Builder, Cell, Exit, Input, Limit, Limits, Output};
use ww_core::clock::Virtual;
use ww_core::{Error, Runtime};
use ww_rpc::cell_capnp::program;

use crate::patience::patiently;
use crate::said::{bootstrap, spawn_long};
use crate::silent::silent;
use crate::stage::{Echo, Token, Wakes, guest};
use crate::wat;

const PAGE: usize = 64 << 10;

fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

/// How a cell ends, at whichever point, and the cell.
fn ends(builder: Builder) -> (Result<Exit, Error>, Cell) {
    patiently(async {
        let cell = builder.spawn().await.expect("it spawns");
        (cell.wait().await, cell)
    })
}

#[test]
fn a_guest_that_traps_after_a_refusal_is_told_of_with_it() {
    let memory = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))";
    let table =
        "(loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 1)) (i32.const -1))))";
    let cases = [
        (memory, Limit::Memory, "refused more memory"),
        (table, Limit::TableElements, "refused more table entries"),
    ];
    for (grow, limit, told) in cases {
        for traps in [true, false] {
            let then = if traps { "unreachable" } else { "" };
            let functions = format!(
                r#"(table 0 funcref) (func (export "run") (result i32) {grow} {then} (i32.const 0))"#
            );
            let tight = limits(|limits| {
                limits.memory = 10 * PAGE;
                limits.table_elements = 100;
            });
            let (end, cell) = ends(wat::component(&functions).limits(tight));
            assert_eq!(cell.usage().refused, Some(limit));
            match end {
                Err(error @ Error::Trap { refused, .. }) => {
                    assert!(traps && refused == Some(limit), "{error:?}");
                    assert!(error.to_string().contains(told), "{error}");
                }
                Ok(exit) => assert!(!traps && exit.success()),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_trap_that_nothing_was_refused_before_does_not_speak_of_limits() {
    let (end, cell) = ends(wat::run("unreachable"));
    let error = end.expect_err("it traps");
    assert!(matches!(error, Error::Trap { refused: None, .. }));
    assert!(!error.to_string().contains("refused"), "{error}");
    assert_eq!(cell.usage().refused, None);
}

#[test]
fn handles_end_at_their_limit() {
    let streams = wat::run("(loop (drop (call $stdin)) (br 0))");
    let timers = wat::run("(loop (drop (call $subscribe (i64.const 0))) (br 0))");
    let own = wat::resources("(loop (drop (call $new (i32.const 1))) (br 0))");
    for builder in [streams, timers, own] {
        let (end, _) = ends(builder.limits(limits(|limits| limits.handles = 10)));
        let error = end.expect_err("it takes too many");
        assert!(
            matches!(
                error,
                Error::Limit {
                    limit: Limit::Handles,
                    bound: 10
                }
            ),
            "{error:?}"
        );
        assert_eq!(error.to_string(), "the cell holds more than its 10 handles");
    }
}

#[test]
fn processor_time_ends_a_spinner_wherever_it_spins() {
    const CPU: Duration = Duration::from_millis(20);
    let spin = "(func $spin (loop (br 0)))";
    let run = format!(r#"{spin} (func (export "run") (result i32) (call $spin) (i32.const 0))"#);
    let start = format!(r#"{spin} (start $spin) (func (export "run") (result i32) (i32.const 0))"#);
    for functions in [run, start] {
        let builder = wat::component(&functions);
        let (end, cell) = ends(builder.limits(limits(|limits| limits.cpu = Some(CPU))));
        let error = end.expect_err("it spins");
        assert!(
            matches!(
                error,
                Error::Limit {
                    limit: Limit::Cpu,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(
            error.to_string(),
            "the cell used up its 20ms of processor time"
        );
        assert!(cell.usage().busy >= CPU);
        assert_eq!(cell.usage().memory, 0);
    }
}

/// It waits after each byte, so that no interruption meets it.
#[test]
fn processor_time_is_counted_of_a_guest_that_runs_in_short_bursts() {
    let builder = wat::run(
        "(local $stdin i32) (local.set $stdin (call $stdin))
         (loop (call $read (local.get $stdin) (i64.const 1) (i32.const 64)) (br 0))",
    );
    let builder = builder
        .stdin(Input::piped())
        .limits(limits(|limits| limits.cpu = Some(Duration::from_millis(2))));
    let (cell, start) = patiently(builder.prepare()).expect("it is ready");
    let stdin = cell.take_stdin().expect("it is piped");
    let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
    while wakes.settle(&mut driver).is_pending() {
        stdin.try_write(b"x").expect("it reads");
    }
    let end = patiently(cell.wait());
    assert!(
        matches!(
            end,
            Err(Error::Limit {
                limit: Limit::Cpu,
                ..
            })
        ),
        "{end:?}"
    );
}

#[test]
fn time_ends_what_waits_and_what_has_not_begun() {
    const WALL: Duration = Duration::from_secs(60);
    let clock = Virtual::new();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let runtime = runtime.expect("the engine starts");
    let sleep = "(call $block (call $subscribe (i64.const 3_600_000_000_000)))";
    let read = "(call $read (call $stdin) (i64.const 1) (i32.const 64))";
    let start = format!(
        r#"(func $wait {read}) (start $wait) (func (export "run") (result i32) (i32.const 0))"#
    );
    for builder in [wat::run(sleep), wat::run(read), wat::component(&start)] {
        let builder = builder
            .runtime(&runtime)
            .stdin(Input::piped())
            .limits(limits(|limits| limits.wall = Some(WALL)));
        let (cell, start) = patiently(builder.prepare()).expect("it is ready");
        let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
        // The time begins when the cell does.
        clock.advance(WALL);
        assert!(wakes.settle(&mut driver).is_pending());
        clock.advance(WALL - Duration::from_nanos(1));
        assert!(wakes.settle(&mut driver).is_pending());
        clock.advance(Duration::from_nanos(1));
        assert!(wakes.settle(&mut driver).is_ready());
        let error = patiently(cell.wait()).expect_err("its time is over");
        assert!(
            matches!(
                error,
                Error::Limit {
                    limit: Limit::Wall,
                    ..
                }
            ),
            "{error:?}"
        );
        assert_eq!(error.to_string(), "the cell used up its 60s of time");
        assert_eq!(cell.usage().memory, 0);
        assert!(clock.is_idle(), "its timers are gone with it");
    }
}

#[test]
fn a_cell_that_ends_in_time_leaves_no_timer() {
    let clock = Virtual::new();
    let runtime = Runtime::builder().clock(clock.clone()).build();
    let in_time = limits(|limits| limits.wall = Some(Duration::from_secs(1)));
    let builder = wat::run("").runtime(&runtime.expect("the engine starts"));
    let (end, _) = ends(builder.limits(in_time));
    assert!(end.expect("it exits").success());
    assert!(clock.is_idle());
}

#[test]
fn piped_streams_hold_what_they_may_and_no_more() {
    let builder = guest("wasi-probe")
        .args(["pour", "1000"])
        .stdin(Input::piped())
        .stdout(Output::piped())
        .limits(limits(|limits| limits.stdio = 100));
    let (cell, start) = patiently(builder.prepare()).expect("it is ready");
    let (stdin, stdout) = (cell.take_stdin(), cell.take_stdout());
    let (stdin, stdout) = (stdin.expect("piped"), stdout.expect("piped"));
    let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
    assert_eq!(wakes.settle(&mut driver), Poll::Pending);
    assert_eq!(stdout.len(), 100);
    assert_eq!(stdin.try_write(&[0; 1000]), Ok(100));
}

#[test]
fn calls_pass_the_smallest_of_connections() {
    let builder = guest("caller")
        .args(["flight", "8", "64", "4"])
        .limits(limits(|limits| limits.rpc_buffer = 1))
        .bootstrap(|_| Ok(Echo::client(Token::default())));
    assert!(ends(builder).0.expect("it exits").success());
}

#[test]
fn a_connection_beyond_its_limits_is_ended_and_both_sides_learn_why() {
    const TOLD: &str = "more than the limit of 3";
    let builder = guest("caller")
        .args(["flight", "8", "64", "8"])
        .stderr(Output::piped())
        .limits(limits(|limits| limits.rpc.calls = 3))
        .bootstrap(|_| Ok(silent()));
    let (end, cell) = ends(builder);
    let exit = end.expect("the guest goes on, and gives up by itself");
    assert_eq!(exit.code(), 1);
    let error = exit.rpc_error().expect("the connection was ended");
    assert_eq!(error.kind, capnp::ErrorKind::Overloaded);
    assert!(error.extra.contains(TOLD), "{error}");
    assert_eq!(cell.usage().refused, Some(Limit::Rpc(ww_rpc::Limit::Calls)));

    let mut told = String::new();
    let mut stderr = cell.take_stderr().expect("it is piped");
    patiently(stderr.read_to_string(&mut told)).expect("it is text");
    assert!(told.contains(TOLD), "{told}");
}

/// Keeps what it was called with, and never answers.
struct Keeps;

impl program::Server for Keeps {
    async fn spawn(
        self: Rc<Self>,
        _params: program::SpawnParams,
        _: program::SpawnResults,
    ) -> Result<(), capnp::Error> {
        pending().await
    }
}

#[test]
fn parameters_count_while_they_are_held_whether_or_not_a_capability_is_among_them() {
    const BYTES: usize = 100_000;
    patiently(async {
        let limits = limits(|limits| limits.rpc.call_words = 1 << 17);
        let parrot = guest("parrot").stdin(Input::piped()).limits(limits);
        let parrot = parrot.bootstrap(|_| Ok(capnp_rpc::new_client::<program::Client, _>(Keeps)));
        let cell = parrot.spawn().await.unwrap();
        let mut told = cell.take_stdin().unwrap();
        told.write_all(&bootstrap()).await.unwrap();
        for id in 1..=20 {
            if told.write_all(&spawn_long(id, id, BYTES)).await.is_err() {
                break;
            }
        }
        drop(told);
        let exit = cell.wait().await.unwrap();
        let error = exit.rpc_error().expect("the connection was ended");
        assert_eq!(error.kind, capnp::ErrorKind::Overloaded, "{error}");
        assert!(error.extra.contains("words, more than"), "{error}");
        assert_eq!(
            cell.usage().refused,
            Some(Limit::Rpc(ww_rpc::Limit::CallWords))
        );
        // As many as fit, and the one that did not.
        assert_eq!(cell.usage().calls_out, (8 << 17) / BYTES as u64 + 1);
    });
}
