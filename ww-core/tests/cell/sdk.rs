//! What the SDK gives a guest, as its host meets it.

use std::sync::Arc;

use futures::io::AsyncBufReadExt;
use futures::io::BufReader;
use futures::{AsyncReadExt, FutureExt};
use ww_core::Error;
use ww_core::cell::{Builder, Cell, Limits, Local, Output};
use ww_core::clock::{Clock, Virtual};
use ww_core::network::Offline;
use ww_core::session::Wetware;
use ww_membrane::{Admission, Epoch, Epochs, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::silent::silent;
use crate::stage::{Echo, RUNTIME, Token, Wakes, guest};

fn tells(args: &[&str]) -> Builder {
    guest("tells").args(args).stdout(Output::piped())
}

async fn said(cell: &Cell) -> String {
    let mut said = String::new();
    let mut stdout = cell.take_stdout().expect("stdout is piped");
    let read = stdout.read_to_string(&mut said).await;
    read.expect("the guest writes text");
    said
}

#[test]
fn a_panic_is_told_with_its_message_and_place() {
    patiently(async {
        let long = "x".repeat(10_000);
        for text in ["it is over\u{1b}", &long] {
            let cell = tells(&["panic", text]).spawn().await.unwrap();
            let error = cell.wait().await.unwrap_err();
            let Error::Trap {
                panic: Some(panic), ..
            } = &error
            else {
                panic!("{error:?}");
            };
            assert!(panic.len() <= 4 << 10, "{}", panic.len());
            if text != long {
                let (message, place) = panic.split_once(", at ").unwrap();
                assert_eq!(message, "it is over\\u{1b}\\nand more");
                assert!(place.starts_with("fixtures/src/bin/tells.rs:"), "{place}");
                assert!(error.to_string().contains("after it panicked: it is over"));
            }
        }
        // A trap without a panic is none.
        let cell = guest("traps").args(["unreachable"]).spawn().await.unwrap();
        let error = cell.wait().await.unwrap_err();
        assert!(
            matches!(error, Error::Trap { panic: None, .. }),
            "{error:?}"
        );
    });
}

#[test]
fn a_file_of_the_image_is_read() {
    patiently(async {
        let cell = tells(&["file", "/etc/motto"]).spawn().await.unwrap();
        assert_eq!(said(&cell).await, "Who holds nothing may do nothing.\n");
        assert!(cell.wait().await.unwrap().success());
        for (path, why) in [
            ("/etc/none", "no such file"),
            ("/etc", "directory"),
            ("etc/motto", "etc/motto: paths are absolute"),
            ("/../etc/motto", "permitted"),
        ] {
            let cell = tells(&["file", path]).stderr(Output::piped()).spawn();
            let cell = cell.await.unwrap();
            let mut failure = String::new();
            let mut stderr = cell.take_stderr().unwrap();
            stderr.read_to_string(&mut failure).await.unwrap();
            assert!(failure.to_lowercase().contains(why), "{path}: {failure}");
            assert_eq!(cell.wait().await.unwrap().code(), 1);
        }
    });
}

#[test]
fn a_guest_that_serves_ends_by_itself_when_it_is_shut_down() {
    patiently(async {
        let cell = tells(&["closed"]).spawn().await.unwrap();
        let answer = cell.with(async |local: Local| {
            let echo: executor::Client = local.exported();
            let mut request = echo.echo_request();
            request.get().set_message("hey");
            let response = request.send().promise.await?;
            let text = response.get()?.get_response()?.to_string();
            Ok(text.map_err(capnp::Error::from)?)
        });
        assert_eq!(answer.await.unwrap(), "Echo: hey");
        cell.shut_down();
        let late = cell.with(async |local: Local| {
            let echo: executor::Client = local.exported();
            let failed = echo.echo_request().send().promise.await.map(drop);
            Ok(failed.unwrap_err().kind)
        });
        match late.await {
            Ok(kind) => assert_eq!(kind, capnp::ErrorKind::Disconnected),
            // It was that quick.
            Err(error) => assert!(matches!(error, Error::Ended { .. }), "{error}"),
        }
        assert_eq!(cell.wait().await.unwrap().code(), 7);
        assert_eq!(said(&cell).await, "shut down: true\n");
        // Nothing is left to shut down.
        cell.shut_down();
    });
}

#[test]
fn a_guest_that_is_shut_down_inside_a_call_ends_as_any_other() {
    patiently(async {
        let builder = tells(&["cut-short"]).bootstrap(|_| Ok(silent()));
        let cell = builder.spawn().await.unwrap();
        let called = cell.with(async |local: Local| {
            let echo: executor::Client = local.exported();
            Ok(echo.echo_request().send().promise.await.map(drop)?)
        });
        called.await.unwrap();
        assert_eq!(cell.usage().calls_out, 1);
        cell.shut_down();
        assert_eq!(said(&cell).await, "shut down: true\n");
        assert!(cell.wait().await.unwrap().success());
    });
}

#[test]
fn sleeps_take_one_handle_however_many_there_are_and_end_in_order() {
    let clock = Virtual::new();
    let builder = tells(&["sleeps", "5000"])
        .clock(clock.clone())
        .bootstrap(|_| Ok(Echo::client(Token::default())));
    let (cell, start) = patiently(builder.prepare()).unwrap();
    let (wakes, mut driver) = (Arc::new(Wakes::default()), start.drive());
    let mut deadlines = Vec::new();
    while wakes.settle(&mut driver).is_pending() {
        let deadline = clock.slept_on().now_or_never().expect("it sleeps");
        deadlines.push(deadline.as_millis());
        clock.advance(deadline - clock.now());
    }
    assert!(patiently(cell.wait()).unwrap().success());
    let said = patiently(said(&cell));
    assert_eq!(said, "Ok(()) Err(Elapsed)\n5000 in order: true\n");
    // No time passes but to the next deadline that somebody waits for, or has waited for.
    assert_eq!(deadlines, (1..=102).collect::<Vec<_>>());
}

#[test]
fn a_message_longer_than_all_that_may_wait_for_the_host_arrives() {
    const BYTES: u64 = 12_000_000;
    // Pipes that take all that waits in the guest at once, or a part of it.
    for buffer in [64 << 10, 1 << 20, 8 << 20] {
        let mut limits = Limits::default();
        limits.rpc_buffer = buffer;
        let builder = guest("caller")
            .args(["seq", "1", &BYTES.to_string()])
            .limits(limits)
            .bootstrap(|_| Ok(Echo::client(Token::default())));
        let cell = patiently(builder.spawn()).unwrap();
        assert!(patiently(cell.wait()).unwrap().success());
        assert!(cell.usage().rpc_out > BYTES);
    }
}

#[test]
fn a_session_tells_its_end_and_is_grafted_anew() {
    patiently(async {
        let epoch = |seq| Epoch {
            seq,
            ..Epoch::default()
        };
        let epochs = Epochs::new(epoch(1));
        let granted = epochs.clone();
        let cell = tells(&["stale"]).bootstrap(move |local| {
            let session = Wetware::new(local, &RUNTIME, Arc::new(Offline::new()));
            Ok(membrane::<wetware_session::Owned>(
                granted,
                Admission::open(),
                session,
            ))
        });
        let cell = cell.spawn().await.unwrap();
        let mut lines = BufReader::new(cell.take_stdout().unwrap());
        let mut said = String::new();
        lines.read_line(&mut said).await.unwrap();
        assert_eq!(said, "1\n");
        epochs.advance(epoch(2)).unwrap();
        lines.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "1\nDisconnected\n2\n");
        assert!(cell.wait().await.unwrap().success());
    });
}
