//! What a policy passes, denies and redirects, and that nothing gets around it.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind};
use futures_lite::future::{block_on, poll_once, yield_now};
use support::*;
use ww_membrane::policies::{Allow, Audit, Expiry, InFlight};
use ww_membrane::{Call, Epochs, Membrane, Policy, Verdict};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, executor, host};

fn denied<T: std::fmt::Debug>(outcome: Result<T, Error>, reason: &str, case: &dyn std::fmt::Debug) {
    let error = outcome.expect_err("went through");
    assert_eq!(error.kind, ErrorKind::Failed, "{case:?}: {error}");
    assert!(error.extra.contains(reason), "{case:?}: {error}");
}

async fn executor_of(host: &host::Client) -> Result<executor::Client, Error> {
    let answer = host.executor_request().send().promise.await?;
    answer.get()?.get_executor()
}

#[test]
fn what_is_not_listed_is_denied_wherever_it_is_reached() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let allow = Allow::new()
            .method(host::Client::id_request)
            .method(host::Client::executor_request);
        let membrane = Membrane::policed(allow);
        over(transport, &membrane, peer(&seen), |host| async move {
            assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
            let addrs = host.addrs_request().send().promise.await;
            denied(addrs.map(|_| ()), "is not allowed", &transport);
            // By the answer, by the pipeline, by a cast.
            let executor = executor_of(&host).await.unwrap();
            denied(echo(&executor, "hi").await, "is not allowed", &transport);
            let pipelined = host.executor_request().send().pipeline.get_executor();
            denied(echo(&pipelined, "hi").await, "is not allowed", &transport);
            let cast: executor::Client = host.clone().cast_to();
            denied(echo(&cast, "hi").await, "is not allowed", &transport);
            let back: host::Client = cast.cast_to();
            assert_eq!(id(&back).await.unwrap(), b"peer", "{transport:?}");
        });
        // Two ids, an executor, and perhaps the one that nobody waited for.
        assert!((3..=4).contains(&seen.calls.get()), "{transport:?}");
    }
}

#[test]
fn a_listed_method_is_passed_on_what_was_reached() {
    for transport in TRANSPORTS {
        let allow = Allow::new()
            .method(host::Client::executor_request)
            .method(executor::Client::echo_request);
        let membrane = Membrane::policed(allow);
        over(
            transport,
            &membrane,
            peer(&Seen::default()),
            |host| async move {
                let executor = executor_of(&host).await.unwrap();
                assert_eq!(echo(&executor, "hi").await.unwrap(), "Echo: hi");
                denied(id(&host).await, "is not allowed", &transport);
            },
        );
    }
}

#[test]
fn callbacks_are_outbound_and_what_they_are_handed_is_not() {
    struct NoCallbacks;
    impl Policy for NoCallbacks {
        fn inbound(&self, _: &Call) -> Verdict {
            Verdict::pass()
        }
        fn outbound(&self, _: &Call) -> Verdict {
            Verdict::deny(Error::failed("no callbacks".into()))
        }
    }
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let membrane = Membrane::policed(NoCallbacks);
        over(transport, &membrane, keeper, |keeper| async move {
            let callback = peer(&Seen::default());
            let mut request = keeper.spawn_request();
            let hook = callback.client.hook;
            request.get().init_bootstrap().set_as_capability(hook);
            request.send().promise.await.unwrap();
            let kept = seen.callback.borrow().clone().unwrap();
            denied(id(&kept).await, "no callbacks", &transport);
        });
    }
}

#[test]
fn redirected_calls_go_elsewhere_with_all_they_carry() {
    for transport in TRANSPORTS {
        let (here, there) = (Seen::default(), Seen::default());
        let elsewhere: program::Client = capnp_rpc::new_client(Keeper(there.clone()));
        let redirect = Elsewhere(elsewhere.cast_to());
        let keeper: program::Client = capnp_rpc::new_client(Keeper(here.clone()));
        let membrane = Membrane::policed(redirect);
        over(transport, &membrane, keeper, |keeper| async move {
            let mut request = keeper.spawn_request();
            let hook = peer(&Seen::default()).client.hook;
            request.get().init_bootstrap().set_as_capability(hook);
            request.send().promise.await.unwrap();
        });
        assert!(here.callback.borrow().is_none(), "{transport:?}");
        assert!(there.callback.borrow().is_some(), "{transport:?}");
    }
}

struct Elsewhere(capnp::capability::Client);

impl Policy for Elsewhere {
    fn inbound(&self, _: &Call) -> Verdict {
        Verdict::redirect(capnp::capability::Client::new(self.0.hook.add_ref()))
    }
}

#[test]
fn policies_compose() {
    for transport in TRANSPORTS {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let note = heard.clone();
        let audit = Audit::new(move |call: &Call| note.borrow_mut().push(call.method()));
        let allow = Allow::new().method(host::Client::id_request);
        let late = Rc::new(Cell::new(Duration::ZERO));
        let now = late.clone();
        let expiry = Expiry::new(move || now.get(), Duration::from_secs(1));
        let membrane = Membrane::policed((audit, (allow, expiry)));
        over(
            transport,
            &membrane,
            peer(&Seen::default()),
            |host| async move {
                assert_eq!(id(&host).await.unwrap(), b"peer");
                let addrs = host.addrs_request().send().promise.await;
                denied(addrs.map(|_| ()), "is not allowed", &transport);
                late.set(Duration::from_secs(1));
                let error = id(&host).await.unwrap_err();
                assert_eq!(error.kind, ErrorKind::Disconnected, "{transport:?}");
                assert!(error.extra.contains("has expired"), "{error}");
            },
        );
        assert_eq!(*heard.borrow(), [0, 1, 0], "{transport:?}");
    }
}

#[test]
fn allowlists_intersect() {
    let both = Allow::new()
        .method(host::Client::id_request)
        .method(host::Client::executor_request);
    let allow = both.intersect(&Allow::new().method(host::Client::id_request));
    block_on(async {
        let host = Membrane::policed(allow).wrap(peer(&Seen::default()));
        assert_eq!(id(&host).await.unwrap(), b"peer");
        denied(executor_of(&host).await.map(|_| ()), "not allowed", &());
    });
}

#[test]
fn calls_in_flight_are_counted_to_their_end() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let limit = InFlight::new(2);
        let membrane = Membrane::policed(limit.clone());
        over(transport, &membrane, peer(&seen), |host| async move {
            let mut first = host.addrs_request().send().promise;
            let mut second = host.addrs_request().send().promise;
            while seen.waiting.get() < 2 {
                assert!(poll_once(&mut first).await.is_none());
                assert!(poll_once(&mut second).await.is_none());
                yield_now().await;
            }
            assert_eq!(limit.count(), 2, "{transport:?}");
            let error = id(&host).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Overloaded, "{transport:?}: {error}");
            drop(first);
            until(|| limit.count() == 1).await;
            for _ in 0..3 {
                assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
            }
            drop(second);
            until(|| limit.count() == 0).await;
        });
    }
}

#[test]
fn a_request_is_judged_when_it_is_sent() {
    let open = Rc::new(Cell::new(true));
    let gate = Gate(open.clone());
    block_on(async {
        let seen = Seen::default();
        let host = Membrane::policed(gate).wrap(peer(&seen));
        let request = host.id_request();
        open.set(false);
        denied(request.send().promise.await.map(|_| ()), "shut", &());
        assert_eq!(seen.calls.get(), 0);
    });
}

#[test]
fn a_stream_that_was_denied_once_stays_denied() {
    let open = Rc::new(Cell::new(false));
    let gate = Gate(open.clone());
    block_on(async {
        let seen = Seen::default();
        let host = Membrane::policed(gate).wrap(peer(&seen));
        let stream: byte_stream::Client = host.clone().cast_to();
        denied(stream.push_request().send().await, "shut", &());
        open.set(true);
        denied(stream.push_request().send().await, "shut", &());
        let finish = stream.finish_request().send().promise.await;
        denied(finish.map(|_| ()), "shut", &());
        denied(id(&host).await, "shut", &());
    });
}

struct Gate(Rc<Cell<bool>>);

impl Policy for Gate {
    fn inbound(&self, _: &Call) -> Verdict {
        if self.0.get() {
            Verdict::pass()
        } else {
            Verdict::deny(Error::failed("shut".into()))
        }
    }
}

#[test]
fn a_policed_membrane_falls_like_any_other() {
    let epochs = Epochs::new(epoch(1));
    let limit = InFlight::new(1);
    let membrane = Membrane::policed_until(epochs.guard(), limit.clone());
    block_on(async {
        let seen = Seen::default();
        let host = membrane.wrap(peer(&seen));
        let mut straddling = host.addrs_request().send().promise;
        assert!(poll_once(&mut straddling).await.is_none());
        assert_eq!(limit.count(), 1);
        epochs.advance(epoch(2)).unwrap();
        assert_stale(straddling.await.map(|_| ()), "straddling");
        assert_stale(id(&host).await, "after");
        assert_eq!((limit.count(), seen.dropped.get()), (0, 1));
    });
}

#[test]
fn a_policy_may_revoke_from_within() {
    struct Once(RefCell<Option<Membrane>>);
    impl Policy for Once {
        fn inbound(&self, _: &Call) -> Verdict {
            if let Some(membrane) = self.0.take() {
                membrane.revoke(Error::failed("used up".into()));
            }
            Verdict::pass()
        }
    }
    block_on(async {
        let seen = Seen::default();
        let once = Rc::new(Once(RefCell::default()));
        let membrane = Membrane::policed(once.clone());
        let host = membrane.wrap(peer(&seen));
        *once.0.borrow_mut() = Some(membrane);
        denied(id(&host).await, "used up", &());
        assert_eq!((seen.calls.get(), seen.dropped.get()), (0, 1));
    });
}
