use futures::{AsyncReadExt, StreamExt};
use ww_core::cell::{Input, Output, Transport};

use crate::patience::patiently;
use crate::stage::{echo, finish, guest};

#[test]
fn calls_arrive_over_every_transport() {
    for (name, message, transport) in [
        ("queued", "queued", Transport::Imports),
        ("probe-streams", "a word", Transport::Imports),
        ("probe-stdio", "a word", Transport::Stdio),
    ] {
        patiently(async {
            let (echo, mut calls) = echo();
            let builder = guest(name)
                .args([message])
                .transport(transport)
                .bootstrap(|_| Ok(echo.client()));
            // Where stdout carries calls, text goes to stderr.
            let (mut output, cell) = if transport == Transport::Stdio {
                let cell = builder.stderr(Output::piped()).spawn().await.unwrap();
                (cell.take_stderr().unwrap(), cell)
            } else {
                let cell = builder.stdout(Output::piped()).spawn().await.unwrap();
                (cell.take_stdout().unwrap(), cell)
            };
            let mut told = String::new();
            output.read_to_string(&mut told).await.unwrap();
            assert_eq!(told, format!("Echo: {message}\n"), "{name}");
            assert_eq!(cell.wait().await.unwrap().code(), 0, "{name}");
            assert_eq!(calls.next().await.as_deref(), Some(message), "{name}");
            assert!(calls.next().await.is_none(), "{name}: the server is gone");
        });
    }
}

#[test]
fn a_call_that_is_queued_before_the_guest_waits_is_sent() {
    patiently(async {
        let (echo, mut calls) = echo();
        let cell = guest("queued")
            .stdin(Input::piped())
            .stdout(Output::piped())
            .bootstrap(|_| Ok(echo.client()))
            .spawn()
            .await
            .unwrap();
        // Only then does the guest stop waiting.
        assert_eq!(calls.next().await.as_deref(), Some("queued"));
        drop(cell.take_stdin());
        let (exit, told) = finish(&cell).await;
        assert_eq!(exit.unwrap().code(), 0);
        assert_eq!(told, "Echo: queued\n");
    });
}

#[test]
fn a_guest_without_a_bootstrap_or_a_connection_is_told_so() {
    patiently(async {
        for name in ["probe-streams", "queued", "probe-stdio"] {
            let builder = guest(name).stderr(Output::piped());
            let cell = builder.spawn().await.unwrap();
            let mut told = String::new();
            let mut stderr = cell.take_stderr().unwrap();
            stderr.read_to_string(&mut told).await.unwrap();
            assert_eq!(cell.wait().await.unwrap().code(), 1, "{name}: {told}");
            assert_ne!(told, "", "{name}");
        }
    });
}

#[test]
fn a_megabyte_passes_in_one_message_and_in_many() {
    patiently(async {
        for args in [
            ["seq", "2", "1000000", ""],
            ["seq", "64", "16384", ""],
            ["flight", "64", "16384", "8"],
            ["flight", "4", "1000000", "4"],
        ] {
            let (echo, calls) = echo();
            let cell = guest("caller")
                .args(args.into_iter().filter(|arg| !arg.is_empty()))
                .bootstrap(|_| Ok(echo.client()))
                .spawn()
                .await
                .unwrap();
            assert_eq!(cell.wait().await.unwrap().code(), 0, "{args:?}");
            let bytes: usize = calls
                .map(|call| call.len())
                .collect::<Vec<_>>()
                .await
                .iter()
                .sum();
            let (many, size): (usize, usize) = (args[1].parse().unwrap(), args[2].parse().unwrap());
            assert_eq!(bytes, many * size);
        }
    });
}
