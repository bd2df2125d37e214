//! What those learn of a cell's end who call it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use capnp::ErrorKind;
use futures::channel::oneshot;
use futures::{AsyncWrite, FutureExt};
use ww_core::Error;
use ww_core::cell::{Builder, Input, Limit, Limits, Local, Output, Remote};
use ww_rpc::peer_capnp::executor;

use crate::patience::patiently;
use crate::stage::guest;

/// A guest that ends in a call, within narrow limits.
fn falls() -> Builder {
    let mut limits = Limits::default();
    limits.memory = 16 << 20;
    limits.cpu = Some(Duration::from_millis(200));
    guest("falls").limits(limits)
}

async fn call(remote: &Remote<executor::Client>, message: &'static str) -> Error {
    let answer = remote.call(async move |falls| {
        let mut request = falls.echo_request();
        request.get().set_message(message);
        Ok(request.send().promise.await.map(drop)?)
    });
    answer.await.expect_err("it ends in the call")
}

/// What a call in flight failed with.
fn failed(error: Error) -> capnp::Error {
    match error {
        Error::Rpc(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_that_a_guest_ends_in_fails_with_why_it_ended() {
    patiently(async {
        let cases = [
            (
                "panic",
                ErrorKind::Disconnected,
                &["after it panicked: it fell\\nover"][..],
            ),
            (
                "hog",
                ErrorKind::Disconnected,
                &["the cell trapped", "refused more memory"],
            ),
            ("spin", ErrorKind::Overloaded, &["processor time"]),
            (
                "exit",
                ErrorKind::Disconnected,
                &["the cell has ended: it exited with code 0"],
            ),
        ];
        for (how, kind, texts) in cases {
            let cell = falls().spawn().await.expect("it runs");
            let error = failed(call(&cell.exported(), how).await);
            assert_eq!(error.kind, kind, "{error}");
            for text in texts {
                assert!(error.extra.contains(text), "{how}: {error}");
            }
            // It quotes the guest.
            assert!(
                error.extra.len() < 2 << 10 && !error.extra.contains('\n'),
                "{error}"
            );

            let late = call(&cell.exported(), how).await;
            let Error::Ended { why } = &late else {
                panic!("{how}: {late:?}");
            };
            let why = why.as_deref();
            let told = match how {
                "exit" => matches!(why, Some(Error::Exited { code: 0 })),
                "spin" => matches!(
                    why,
                    Some(Error::Limit {
                        limit: Limit::Cpu,
                        ..
                    })
                ),
                _ => matches!(why, Some(Error::Trap { .. })),
            };
            assert!(told, "{how}: {late:?}");
            assert_eq!(capnp::Error::from(late).kind, kind, "{how}");
        }
    });
}

#[test]
fn a_bridge_tells_what_ended_the_cell_beyond_it() {
    patiently(async {
        let cases = [
            ("spin", ErrorKind::Overloaded, "processor time"),
            ("panic", ErrorKind::Disconnected, "after it panicked"),
            ("exit", ErrorKind::Disconnected, "exited with code 0"),
        ];
        let near = guest("puppet").stdin(Input::piped());
        let near = near.spawn().await.expect("it runs");
        for (how, kind, text) in cases {
            let far = falls().spawn().await.expect("it runs");
            let remote: Remote<executor::Client> = far.exported();
            let again = remote.clone();
            let errors = near.with(async move |local: Local| {
                let bridged = remote.bridge(&local);
                let mut errors = Vec::new();
                // In flight, and later.
                for _ in 0..2 {
                    let mut request = bridged.echo_request();
                    request.get().set_message(how);
                    errors.extend(request.send().promise.await.err());
                }
                Ok(errors)
            });
            let mut errors = errors.await.expect("it lives on");
            // By a bridge that did not stand before.
            let late = near.with(async move |local: Local| {
                let request = again.bridge(&local).echo_request();
                Ok(request.send().promise.await.err())
            });
            errors.extend(late.await.expect("it lives on"));
            assert_eq!(errors.len(), 3, "{how}");
            for error in errors {
                assert_eq!(error.kind, kind, "{how}: {error}");
                assert!(error.extra.contains(text), "{how}: {error}");
            }
        }
    });
}

/// Takes everything, and never says that it arrived.
struct Slow;

impl AsyncWrite for Slow {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn who_calls_does_not_wait_for_what_the_guest_wrote() {
    patiently(async {
        let slow = falls().stdout(Output::writer(Slow));
        let cell = slow.spawn().await.expect("it runs");
        let error = failed(call(&cell.exported(), "panic").await);
        assert!(error.extra.contains("panicked"), "{error}");
        assert!(cell.wait().now_or_never().is_none());
    });
}

#[test]
fn every_end_is_told_to_who_waits_for_an_export_and_to_who_comes_late() {
    patiently(async {
        // It waits, and exports nothing.
        let waits = || guest("puppet").stdin(Input::piped());
        let cell = waits().spawn().await.expect("it runs");
        let (ask, asked) = oneshot::channel();
        let waiting = cell.with(async move |local: Local| {
            let exported: executor::Client = local.exported();
            let answer = exported.echo_request().send().promise;
            ask.send(()).expect("the test waits");
            Ok(answer.await.map(drop).expect_err("nothing is exported"))
        });
        asked.await.expect("the call is made");
        cell.kill();
        let error = waiting.await.expect("the call fails first");
        assert_eq!(error.kind, ErrorKind::Disconnected, "{error}");
        assert!(error.extra.contains("killed"), "{error}");

        let (cell, start) = waits().prepare().await.expect("it is ready");
        drop(start);
        match call(&cell.exported(), "anyone?").await {
            Error::Ended { why: Some(why) } => assert!(matches!(*why, Error::Dropped), "{why}"),
            other => panic!("{other:?}"),
        }
    });
}
