//! What a guest learns of the end of its connection, natively.
#![cfg(not(target_family = "wasm"))]

use std::future::pending;
use std::rc::Rc;

use ww_guest_sdk::capnp::{self, ErrorKind};
use ww_guest_sdk::peer_capnp::executor;
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::{capnp_rpc, closed, serve};

/// Answers those who say something.
struct Polite;

impl executor::Server for Polite {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        _: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        match params.get()?.get_message()?.is_empty() {
            true => pending().await,
            false => Ok(()),
        }
    }
}

fn polite() -> executor::Client {
    capnp_rpc::new_client(Polite)
}

async fn say(to: &executor::Client, message: &str) -> Result<(), capnp::Error> {
    let mut request = to.echo_request();
    request.get().set_message(message);
    request.send().promise.await.map(drop)
}

#[test]
fn work_that_the_end_cuts_short_gives_nothing() {
    let outcome = Host::new(polite())
        .calls(async |exported: executor::Client| say(&exported, "hey").await.unwrap())
        .run(async |host: executor::Client| serve(polite(), say(&host, "")).await)
        .unwrap();
    assert!(matches!(outcome, Ok(None)), "{outcome:?}");
}

#[test]
fn a_connection_that_breaks_is_told_with_the_reason() {
    let too_much = || {
        Host::new(polite()).calls(async |exported: executor::Client| {
            // Each waits for the one before.
            let mut last = exported;
            for _ in 0..20 {
                let process = last.run_image_request().send().pipeline.get_process();
                last = process.executor_request().send().pipeline.get_executor();
            }
            let error = say(&last, "").await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
        })
    };
    let served = too_much()
        .run(async |_: executor::Client| serve(polite(), pending::<()>()).await)
        .unwrap();
    let error = served.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.to_string().contains("calls"), "{error}");

    // Whoever asks later hears the same.
    let asked = too_much()
        .run(async |_: executor::Client| {
            let served = serve(polite(), pending::<()>()).await.unwrap_err();
            (served, closed().await.unwrap_err())
        })
        .unwrap();
    assert_eq!(asked.0.to_string(), asked.1.to_string());
}
