//! What a cell has used, while it lives and after.

use std::sync::Arc;

use futures::AsyncReadExt;
use ww_core::cell::{Input, Local, Output};
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::stage::{Echo, Token, Wakes, guest};

#[test]
fn bytes_of_standard_streams_are_counted_whatever_they_are_connected_to() {
    const BYTES: u64 = 100_000;
    let pour = || guest("wasi-probe").args(["pour", &BYTES.to_string()]);
    let outputs = [
        Output::discard(),
        Output::writer(futures::io::sink()),
        Output::piped(),
    ];
    for output in outputs {
        let cell = patiently(pour().stdout(output).spawn()).unwrap();
        assert!(patiently(cell.wait()).unwrap().success());
        assert_eq!(cell.usage().stdio_out, BYTES);
        assert_eq!(cell.usage().stdio_in, 0);
    }
    let inputs = [
        Input::reader(futures::io::Cursor::new(vec![b'\n'; 1000])),
        Input::piped(),
    ];
    for input in inputs {
        patiently(async {
            let echo = guest("echo-child").stdin(input).stdout(Output::piped());
            let cell = echo.spawn().await.unwrap();
            if let Some(stdin) = cell.take_stdin() {
                stdin.try_write(&[b'\n'; 1000]).unwrap();
            }
            let mut echoed = Vec::new();
            let mut stdout = cell.take_stdout().unwrap();
            stdout.read_to_end(&mut echoed).await.unwrap();
            assert!(cell.wait().await.unwrap().success());
            let usage = cell.usage();
            assert_eq!((usage.stdio_in, usage.stdio_out), (1000, 1000));
        });
    }
}

#[test]
fn calls_of_the_guest_are_counted_with_their_bytes() {
    const CALLS: u64 = 50;
    let builder = guest("caller")
        .args(["seq", &CALLS.to_string(), "1000"])
        .bootstrap(|_| Ok(Echo::client(Token::default())));
    let cell = patiently(builder.spawn()).unwrap();
    assert!(patiently(cell.wait()).unwrap().success());
    let usage = cell.usage();
    assert_eq!((usage.calls_out, usage.calls_in), (CALLS, 0));
    assert!(usage.rpc_out > CALLS * 1000, "{usage:?}");
    assert!(usage.rpc_in > CALLS * 1000, "{usage:?}");
}

#[test]
fn a_guest_that_makes_no_call_says_nothing_and_is_told_nothing() {
    let token = Token::default();
    let held = token.clone();
    let builder = guest("caller")
        .args(["start"])
        .bootstrap(|_| Ok(Echo::client(held)));
    let cell = patiently(builder.spawn()).unwrap();
    let exit = patiently(cell.wait()).unwrap();
    assert!(exit.success() && exit.rpc_error().is_none());
    let usage = cell.usage();
    assert_eq!((usage.rpc_out, usage.rpc_in), (0, 0));
    assert!(!token.is_held_elsewhere());
}

#[test]
fn calls_to_the_guest_are_counted_while_it_lives() {
    let builder = guest("exporter").stdin(Input::piped());
    let (cell, start) = patiently(builder.prepare()).unwrap();
    let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
    let call = || {
        cell.with(async |local: Local| {
            let exported: executor::Client = local.exported();
            let mut request = exported.echo_request();
            request.get().set_message("x".repeat(500));
            request.send().promise.await?;
            Ok(())
        })
    };
    for calls in 1..=3 {
        let called = call();
        assert!(wakes.settle(&mut driver).is_pending());
        patiently(called).unwrap();
        let usage = cell.usage();
        assert_eq!((usage.calls_in, usage.calls_out), (calls, 0));
        assert!(usage.rpc_in > 500 * calls && usage.rpc_out > 500 * calls);
    }
    drop(driver);
    assert_eq!(cell.usage().calls_in, 3, "it is known after the end");
}
