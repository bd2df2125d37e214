//! Sessions that are grafted when they are needed, and again.
#![cfg(not(target_family = "wasm"))]

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;

use ww_guest_sdk::capnp::capability::FromClientHook;
use ww_guest_sdk::capnp::{self, ErrorKind};
use ww_guest_sdk::futures::channel::oneshot;
use ww_guest_sdk::futures::future::{join_all, poll_immediate};
use ww_guest_sdk::membrane_capnp::wetware_session::Owned as Extension;
use ww_guest_sdk::peer_capnp::executor;
use ww_guest_sdk::stem_capnp::{membrane, status_poller};
use ww_guest_sdk::testing::Host;
use ww_guest_sdk::{Error, Grafted, Membrane, Session, capnp_rpc};

/// Answers, and lets its calls fail once they are so many.
struct Echo {
    calls: Cell<u32>,
    last: u32,
}

impl executor::Server for Echo {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Result<(), capnp::Error> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() > self.last {
            return Err(capnp::Error::disconnected("staleEpoch".into()));
        }
        let message = params.get()?.get_message()?.to_str()?;
        results.get().set_response(format!("Echo: {message}"));
        Ok(())
    }
}

async fn echo(echo: &executor::Client, message: &str) -> Result<String, capnp::Error> {
    let mut request = echo.echo_request();
    request.get().set_message(message);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_response()?.to_string()?)
}

fn none<C: FromClientHook>() -> C {
    capnp_rpc::new_broken_cap(capnp::Error::failed("there is none".into())).cast_to()
}

/// Grants sessions whose status is asked of somebody, and counts.
struct Steady<P>(Cell<u32>, P);

impl<P: status_poller::Server + Clone + 'static> membrane::Server<Extension> for Steady<P> {
    async fn graft(
        self: Rc<Self>,
        _: membrane::GraftParams<Extension>,
        mut results: membrane::GraftResults<Extension>,
    ) -> Result<(), capnp::Error> {
        self.0.set(self.0.get() + 1);
        let mut session = results.get().init_session();
        let granted = self.0.get().into();
        session.reborrow().init_issued_epoch().set_seq(granted);
        session.set_status_poller(capnp_rpc::new_client(self.1.clone()));
        Ok(())
    }
}

#[derive(Clone)]
struct Good;

/// Never answers.
#[derive(Clone)]
struct Mute;

impl status_poller::Server for Mute {
    async fn poll_status(
        self: Rc<Self>,
        _: status_poller::PollStatusParams,
        _: status_poller::PollStatusResults,
    ) -> Result<(), capnp::Error> {
        pending().await
    }
}

impl status_poller::Server for Good {
    async fn poll_status(
        self: Rc<Self>,
        _: status_poller::PollStatusParams,
        _: status_poller::PollStatusResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

#[test]
fn a_session_outlives_the_end_of_what_it_led_to() {
    let host: Membrane = capnp_rpc::new_client(Steady(Cell::new(0), Good));
    Host::new(host)
        .run(async |membrane: Membrane| {
            let grafted = Grafted::new(membrane);
            let gone = || capnp::Error::disconnected("a peer is not reached".into());
            for _ in 0..2 {
                let failed = grafted.with(async |_| Err::<(), _>(gone())).await;
                assert!(failed.is_err());
                assert_eq!(grafted.session().await.unwrap().epoch, 1);
            }
        })
        .unwrap();
}

#[test]
fn a_session_that_does_not_say_how_it_is_is_given_up() {
    let host: Membrane = capnp_rpc::new_client(Steady(Cell::new(0), Mute));
    Host::new(host)
        .run(async |membrane: Membrane| {
            let grafted = Grafted::new(membrane);
            let gone = || capnp::Error::disconnected("a peer is not reached".into());
            let failed = grafted.with(async |_| Err::<(), _>(gone())).await;
            assert!(failed.is_err());
            assert_eq!(grafted.session().await.unwrap().epoch, 2);
        })
        .unwrap();
}

/// Is at its end at once, or cannot tell.
#[derive(Clone)]
struct Over(ErrorKind);

impl status_poller::Server for Over {
    async fn ended(
        self: Rc<Self>,
        _: status_poller::EndedParams,
        _: status_poller::EndedResults,
    ) -> Result<(), capnp::Error> {
        Err(capnp::Error {
            kind: self.0,
            extra: "staleEpoch".into(),
        })
    }
}

#[test]
fn a_session_that_was_waited_for_to_its_end_is_not_given_out_again() {
    for (kind, next) in [
        (ErrorKind::Disconnected, 2),
        // The host cannot tell, so nothing is known.
        (ErrorKind::Unimplemented, 1),
    ] {
        let host: Membrane = capnp_rpc::new_client(Steady(Cell::new(0), Over(kind)));
        Host::new(host)
            .run(async |membrane: Membrane| {
                let grafted = Grafted::new(membrane);
                let session = grafted.session().await.unwrap();
                let clone = grafted.session().await.unwrap();
                assert_eq!((session.epoch, clone.epoch), (1, 1));
                assert_eq!(clone.ended().await.kind, kind);
                assert_eq!(grafted.session().await.unwrap().epoch, next);
                let epoch = async |session: &Session| Ok::<_, Error>(session.epoch);
                assert_eq!(grafted.with(epoch).await.unwrap(), next);
            })
            .unwrap();
    }
}

/// Grants executors that die after so many calls, and counts.
struct Grants {
    lasts: u32,
    granted: Rc<Cell<u32>>,
    fails: Cell<u32>,
}

impl membrane::Server<Extension> for Grants {
    async fn graft(
        self: Rc<Self>,
        _: membrane::GraftParams<Extension>,
        mut results: membrane::GraftResults<Extension>,
    ) -> Result<(), capnp::Error> {
        self.granted.set(self.granted.get() + 1);
        if self.fails.get() > 0 {
            self.fails.set(self.fails.get() - 1);
            return Err(capnp::Error::failed("not today".into()));
        }
        let mut session = results.get().init_session();
        session
            .reborrow()
            .init_issued_epoch()
            .set_seq(self.granted.get().into());
        session.set_status_poller(none());
        let mut extension = session.init_extension();
        extension.set_host(none());
        extension.set_executor(capnp_rpc::new_client(Echo {
            calls: Cell::new(0),
            last: self.lasts,
        }));
        Ok(())
    }
}

#[test]
fn a_session_that_has_died_is_grafted_again_once_and_no_call_is_made_twice() {
    let granted = Rc::new(Cell::new(0));
    let grants = Grants {
        lasts: 2,
        granted: granted.clone(),
        fails: Cell::new(1),
    };
    let host: Membrane = capnp_rpc::new_client(grants);
    Host::new(host)
        .run(async |membrane: Membrane| {
            let grafted = Grafted::new(membrane);
            let call = async || {
                let called = grafted.with(async |session| {
                    echo(&session.executor, "hey").await?;
                    Ok::<_, Error>(session.epoch)
                });
                called.await.map_err(|error| error.kind())
            };
            // What the membrane refuses is not tried again by itself.
            assert_eq!(call().await, Err(Some(ErrorKind::Failed)));
            assert_eq!(granted.get(), 1);
            // One that learns late that its session has died.
            let (go_on, held) = oneshot::channel::<()>();
            let late = grafted.with(async |session| {
                held.await?;
                echo(&session.executor, "late").await?;
                Ok::<_, Error>(())
            });
            let mut late = Box::pin(late);
            assert!(poll_immediate(&mut late).await.is_none());
            // Several share one graft, and what died is given up once.
            let calls = join_all((0..5).map(|_| call())).await;
            let dead = Err(Some(ErrorKind::Disconnected));
            assert_eq!(calls, [Ok(2), Ok(2), dead, dead, dead]);
            assert_eq!(granted.get(), 2);
            assert_eq!(call().await, Ok(3));
            go_on.send(()).unwrap();
            let late = late.await.unwrap_err();
            assert_eq!(late.kind(), Some(ErrorKind::Disconnected));
            assert_eq!(grafted.session().await.unwrap().epoch, 3);
            // Another failure leaves the session alone.
            let failed = grafted
                .with(async |_| Err::<(), _>("of another kind"))
                .await
                .unwrap_err();
            assert_eq!(failed.kind(), None);
            assert_eq!(call().await, Ok(3));
            assert_eq!(granted.get(), 3);
        })
        .unwrap();
}
