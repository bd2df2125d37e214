//! Guests that go wrong while they run.

use futures::AsyncReadExt;
use futures::future::join;
use ww_core::Error;
use ww_core::cell::{Cell, Input, Local, Output};
use ww_rpc::peer_capnp::executor;

use crate::cases::{case, check};
use crate::component::component;
use crate::fate::{Neighbour, RUNTIME, fate, guest};
use crate::patience::patiently;

#[test]
fn a_trap_tells_what_it_was_and_where() {
    let start = r#"(func $begin unreachable) (start $begin)
        (func (export "run") (result i32) i32.const 0)"#;
    let divide = r#"(func $quotient (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
        (func (export "run") (result i32) (call $quotient))"#;
    check([
        case!(
            "a panic",
            guest("traps"),
            Error::Trap { .. },
            ["trapped", "unreachable"]
        ),
        case!(
            "a start function that traps",
            component("", start),
            Error::Trap { .. },
            ["unreachable"],
        ),
        case!(
            "a division by zero",
            component("", divide),
            Error::Trap { .. },
            ["divide by zero"],
        ),
    ]);
    let begin = component("", start);
    for (builder, function) in [
        (component("", divide), "quotient"),
        (begin, "begin"),
        (guest("traps").args(["unreachable"]), "traps::main"),
        (guest("traps"), "panic"),
    ] {
        match fate(builder) {
            Err(Error::Trap { backtrace, .. }) => {
                assert!(
                    backtrace.contains(function),
                    "{function} is not in {backtrace}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_panic_is_told_on_stderr_too() {
    patiently(async {
        let builder = guest("traps").runtime(&RUNTIME).stderr(Output::piped());
        let cell = builder.spawn().await.expect("it spawns");
        let mut told = String::new();
        let mut stderr = cell.take_stderr().expect("it is piped");
        let (end, read) = join(cell.wait(), stderr.read_to_string(&mut told)).await;
        read.expect("a panic is text");
        assert!(matches!(end, Err(Error::Trap { .. })));
        assert!(told.contains("the guest has panicked"), "{told}");
    });
}

#[test]
fn a_start_function_that_never_returns_is_killed_like_any_other() {
    let start = r#"(func $spin (loop (br 0))) (start $spin)
        (func (export "run") (result i32) i32.const 0)"#;
    let mut neighbour = Neighbour::new();
    patiently(async {
        let builder = component("", start).runtime(&RUNTIME);
        let cell = builder.spawn().await.expect("it spawns");
        // It runs, and lets others run.
        cell.with(async |_| Ok(())).await.expect("it has not ended");
        cell.kill();
        assert!(matches!(cell.wait().await, Err(Error::Killed)));
    });
    neighbour.answers();
}

/// What a call on the guest's exported capability fails with.
async fn exported(cell: &Cell) -> Result<capnp::Error, Error> {
    cell.with(async |local: Local| {
        let exported: executor::Client = local.exported();
        let answer = exported.echo_request().send().promise.await;
        Ok(answer.map(drop).expect_err("it exports nothing"))
    })
    .await
}

#[test]
fn a_guest_that_breaks_its_connection_goes_on_and_its_capability_is_broken() {
    let mut neighbour = Neighbour::new();
    for (name, told, blamed) in [
        ("closer", "closed, and going on\n", false),
        ("garbage", "the host has closed the connection\n", true),
    ] {
        patiently(async {
            let builder = guest(name)
                .runtime(&RUNTIME)
                .stdin(Input::piped())
                .stdout(Output::piped());
            let (cell, start) = builder.prepare().await.expect("it is ready");
            let asked = exported(&cell);
            let (asked, ()) = join(asked, start.drive()).await;
            match asked {
                Ok(error) if blamed => assert_ne!(error.extra, ""),
                Ok(error) => assert_eq!(error.kind, capnp::ErrorKind::Disconnected),
                Err(error) => assert!(matches!(error, Error::Ended { .. }), "{error}"),
            }
            let exit = cell.wait().await.expect("the guest goes on");
            assert_eq!(exit.code(), 0, "{name}");
            assert_eq!(exit.rpc_error().is_some(), blamed, "{name}");
            let mut text = String::new();
            let mut stdout = cell.take_stdout().expect("it is piped");
            stdout.read_to_string(&mut text).await.expect("it is text");
            assert_eq!(text, told);
        });
        neighbour.answers();
    }
}

#[test]
fn a_connection_on_which_nothing_was_said_is_shut_down() {
    patiently(async {
        let builder = guest("garbage").runtime(&RUNTIME).args(["0"]);
        let cell = builder.stdout(Output::piped()).spawn().await;
        let cell = cell.expect("it spawns");
        cell.shut_down();
        let exit = cell.wait().await.expect("the guest is told");
        assert_eq!(exit.code(), 0);
        assert!(exit.rpc_error().is_none());
        let usage = cell.usage();
        assert_eq!((usage.rpc_in, usage.rpc_out), (0, 0));
    });
}
