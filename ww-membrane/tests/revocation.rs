//! How what was reached through a membrane ends: locally and over connections
//! on either side.

mod support;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use capnp::Error;
use capnp::capability::FromClientHook;
use futures_lite::future::{block_on, poll_once, yield_now, zip};
use support::*;
use ww_membrane::{Membrane, Reaper};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, host};

#[test]
fn advancing_ends_calls_in_flight() {
    for transport in TRANSPORTS {
        for pipelined in [false, true] {
            let case = format!("{transport:?}, pipeline kept: {pipelined}");
            let seen = Seen::default();
            let (epochs, membrane) = standing();
            over(transport, &membrane, peer(&seen), |host| async move {
                let sent = host.addrs_request().send();
                let pipeline = pipelined.then_some(sent.pipeline);
                let started = async {
                    until(|| seen.waiting.get() == 1).await;
                    epochs.advance(epoch(2)).unwrap();
                };
                let (outcome, ()) = zip(sent.promise, started).await;
                assert_stale(outcome, &case);
                until(|| seen.waiting.get() == 0).await;
                drop(pipeline);
            });
        }
    }
}

#[test]
fn advancing_on_another_thread_wakes_a_caller_that_sleeps() {
    let seen = Seen::default();
    let (epochs, membrane) = standing();
    let host = membrane.wrap(peer(&seen));
    let advancing = std::thread::spawn(move || epochs.advance(epoch(2)));
    // Nothing else wakes this thread.
    assert_stale(block_on(host.addrs_request().send().promise), "asleep");
    assert_eq!(seen.waiting.get(), 0);
    advancing.join().unwrap().unwrap();
}

#[test]
fn dropping_a_call_cancels_it() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let (_epochs, membrane) = standing();
        over(transport, &membrane, peer(&seen), |host| async move {
            let mut sent = host.addrs_request().send();
            seen.hanging(&mut sent.promise).await;
            drop(sent.promise);
            drop(sent.pipeline);
            until(|| seen.waiting.get() == 0).await;
            assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
        });
    }
}

#[test]
fn a_request_built_before_and_sent_after_never_arrives() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let (epochs, membrane) = standing();
        over(transport, &membrane, peer(&seen), |host| async move {
            assert_eq!(id(&host).await.unwrap(), b"peer");
            let plain = host.id_request();
            let pipelined = host.executor_request();
            epochs.advance(epoch(2)).unwrap();
            assert_stale(plain.send().promise.await, &format!("{transport:?}"));
            let executor = pipelined.send().pipeline.get_executor();
            assert_stale(echo(&executor, "hi").await, &format!("{transport:?}"));
            assert_eq!(seen.calls.get(), 1, "{transport:?}");
        });
    }
}

#[test]
fn revoking_releases_what_is_inside_at_once() {
    for transport in [Transport::Local, Transport::Exported] {
        let seen = Seen::default();
        let (_epochs, membrane) = standing();
        let by_hand = membrane.clone();
        over(transport, &membrane, peer(&seen), |host| async move {
            let sent = host.addrs_request().send();
            let (mut waiting, pipeline) = (sent.promise, sent.pipeline);
            seen.hanging(&mut waiting).await;
            by_hand.revoke(Error::failed("enough".into()));
            by_hand.revoke(Error::failed("again".into()));
            assert_eq!(seen.waiting.get(), 0, "{transport:?}");
            assert_eq!(seen.dropped.get(), 1, "{transport:?}");
            assert_eq!(by_hand.held(), 0, "{transport:?}");
            let error = waiting.await.err().unwrap();
            assert!(error.extra.contains("enough"), "{transport:?}: {error}");
            drop(pipeline);
        });
    }
}

#[test]
fn calls_after_the_first_are_counted_wrapped_and_ended_as_it_is() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let membrane = Membrane::ungated();
        let by_hand = membrane.clone();
        over(transport, &membrane, peer(&seen), |host| async move {
            for _ in 0..3 {
                assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
            }
            let answer = host.executor_request().send().promise.await.unwrap();
            let executor = answer.get().unwrap().get_executor().unwrap();
            assert_eq!(by_hand.held(), 2, "{transport:?}");
            let authority = by_hand.authority();
            let passed: u64 = authority.held.iter().map(|held| held.calls.passed()).sum();
            assert_eq!(passed, 4, "{transport:?}");
            let mut hanging = host.addrs_request().send().promise;
            seen.hanging(&mut hanging).await;
            by_hand.revoke(Error::failed("enough".into()));
            for error in [
                hanging.await.err(),
                id(&host).await.err(),
                echo(&executor, "hi").await.err(),
            ] {
                let error = error.unwrap();
                assert!(error.extra.contains("enough"), "{transport:?}: {error}");
            }
            until(|| seen.waiting.get() == 0).await;
            assert_eq!(seen.calls.get(), 4, "{transport:?}");
        });
    }
}

/// Hands out a peer that nobody else holds, as an executor.
struct Giver(Seen);

impl host::Server for Giver {
    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), Error> {
        results.get().set_executor(peer(&self.0).cast_to());
        Ok(())
    }
}

#[test]
fn what_is_called_is_held_until_the_call_is_over() {
    let (seen, membrane) = (Seen::default(), Membrane::ungated());
    let giver: host::Client = capnp_rpc::new_client(Giver(seen.clone()));
    connected(membrane.wrap(giver), |giver| async move {
        let answer = giver.executor_request().send().promise.await.unwrap();
        let given: host::Client = answer.get().unwrap().get_executor().unwrap().cast_to();
        drop(answer);
        // What the first call shows makes others begin another way.
        id(&given).await.unwrap();
        let mut hanging = given.addrs_request().send().promise;
        seen.hanging(&mut hanging).await;
        drop(given);
        for _ in 0..100 {
            assert!(poll_once(&mut hanging).await.is_none());
            yield_now().await;
        }
        assert_eq!(membrane.held(), 2);
        drop(hanging);
        until(|| membrane.held() == 1).await;
    });
}

#[test]
fn revoking_releases_what_is_behind_a_connection_and_finishes_its_calls() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let membrane = Membrane::ungated();
        let by_hand = membrane.clone();
        let giver: host::Client = capnp_rpc::new_client(Giver(seen.clone()));
        over(transport, &membrane, giver, |giver| async move {
            let answer = giver.executor_request().send().promise.await.unwrap();
            let given = answer.get().unwrap().get_executor().unwrap();
            let given: host::Client = given.cast_to();
            let mut call = given.addrs_request().send().promise;
            while seen.waiting.get() == 0 {
                assert!(poll_once(&mut call).await.is_none());
                yield_now().await;
            }
            by_hand.revoke(Error::disconnected("fell".into()));
            if !matches!(transport, Transport::Imported) {
                assert_eq!((seen.waiting.get(), seen.dropped.get()), (0, 1));
            }
            // The caller still holds all that it had.
            until(|| seen.waiting.get() == 0 && seen.dropped.get() == 1).await;
            assert!(call.await.is_err(), "{transport:?}");
            drop((given, answer));
        });
    }
}

#[test]
fn a_reaper_releases_in_the_turn_after_the_advance() {
    let seen = Seen::default();
    let (epochs, membrane) = standing();
    let _host = membrane.wrap(peer(&seen));
    let mut reaper = Reaper::new();
    block_on(async {
        assert!(poll_once(&mut reaper).await.is_none());
        assert_eq!(seen.dropped.get(), 0);
        epochs.advance(epoch(2)).unwrap();
        assert!(poll_once(&mut reaper).await.is_none());
        assert_eq!(seen.dropped.get(), 1);
    });
}

/// Revokes the membrane that it is called through.
struct Revoker {
    membrane: Membrane,
    outlived: Rc<Cell<bool>>,
}

impl host::Server for Revoker {
    async fn id(
        self: Rc<Self>,
        _: host::IdParams,
        mut results: host::IdResults,
    ) -> Result<(), Error> {
        self.membrane
            .revoke(Error::disconnected("revoked from within".into()));
        results.get().set_peer_id(b"late");
        self.outlived.set(true);
        yield_now().await;
        panic!("polled again after the membrane fell");
    }
}

impl Drop for Revoker {
    /// Uses the membrane while it falls.
    fn drop(&mut self) {
        let wrapped = self.membrane.wrap(peer(&Seen::default()));
        self.membrane.revoke(Error::failed("in a drop".into()));
        assert!(block_on(id(&wrapped)).is_err());
    }
}

#[test]
fn revoking_from_within_a_call_ends_that_call_after_its_poll() {
    for transport in [Transport::Local, Transport::Exported] {
        let membrane = Membrane::ungated();
        let outlived = Rc::new(Cell::new(false));
        let inside: host::Client = capnp_rpc::new_client(Revoker {
            membrane: membrane.clone(),
            outlived: outlived.clone(),
        });
        over(transport, &membrane, inside, |host| async move {
            let error = id(&host).await.unwrap_err();
            assert!(
                error.extra.contains("from within"),
                "{transport:?}: {error}"
            );
            assert!(outlived.get());
        });
    }
}

/// Revokes a membrane when it is called back through it.
struct Undoes(Membrane);

impl host::Server for Undoes {
    async fn id(self: Rc<Self>, _: host::IdParams, _: host::IdResults) -> Result<(), Error> {
        self.0
            .revoke(Error::disconnected("revoked by a callback".into()));
        Ok(())
    }
}

/// Calls back what it is handed.
struct CallsBack;

impl program::Server for CallsBack {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        _: program::SpawnResults,
    ) -> Result<(), Error> {
        let callback: host::Client = params.get()?.get_bootstrap().get_as_capability()?;
        id(&callback).await.map(drop)
    }
}

#[test]
fn revoking_from_within_a_callback_ends_both_calls() {
    for transport in TRANSPORTS {
        let membrane = Membrane::ungated();
        let undoes: host::Client = capnp_rpc::new_client(Undoes(membrane.clone()));
        let inside: program::Client = capnp_rpc::new_client(CallsBack);
        let held = membrane.clone();
        over(transport, &membrane, inside, |inside| async move {
            let mut request = inside.spawn_request();
            let hook = undoes.client.hook;
            request.get().init_bootstrap().set_as_capability(hook);
            let error = request.send().promise.await.err().unwrap();
            assert!(error.extra.contains("a callback"), "{transport:?}: {error}");
            assert_eq!(held.held(), 0, "{transport:?}");
        });
    }
}

#[test]
fn nested_membranes_fall_alone() {
    for transport in TRANSPORTS {
        for outer_falls in [false, true] {
            let (inner, outer) = (Membrane::ungated(), Membrane::ungated());
            let inside = inner.wrap(peer(&Seen::default()));
            let falls = if outer_falls {
                outer.clone()
            } else {
                inner.clone()
            };
            let stands = if outer_falls { inner } else { outer.clone() };
            over(transport, &outer, inside, |host| async move {
                let executor = host.executor_request().send().pipeline.get_executor();
                assert_eq!(echo(&executor, "hi").await.unwrap(), "Echo: hi");
                falls.revoke(Error::disconnected("fell".into()));
                assert!(
                    echo(&executor, "hi")
                        .await
                        .unwrap_err()
                        .extra
                        .contains("fell")
                );
                assert!(stands.check().is_ok());
            });
        }
    }
}

/// Makes a membrane fall when it is dropped.
struct Last(Membrane);

impl host::Server for Last {}

impl Drop for Last {
    fn drop(&mut self) {
        self.0
            .revoke(Error::disconnected("the last has gone".into()));
    }
}

#[test]
fn a_membrane_may_fall_while_one_within_it_is_looked_at() {
    let (epochs, inner) = standing();
    let outer = Membrane::ungated();
    let last: host::Client = capnp_rpc::new_client(Last(outer.clone()));
    let host = outer.wrap(inner.wrap(last));
    let request = host.id_request();
    epochs.advance(epoch(2)).unwrap();
    // It is noticed when the request is sent, and the inside goes with it.
    let error = block_on(request.send().promise).err().unwrap();
    assert!(error.extra.contains("has gone"), "{error}");
    assert!(outer.fall().is_some() && inner.fall().is_some());
}

#[test]
fn wrapping_and_dropping_leaves_nothing() {
    let seen = Seen::default();
    let (_epochs, membrane) = standing();
    block_on(async {
        for _ in 0..10_000 {
            let host = membrane.wrap(peer(&seen));
            let sent = host.executor_request().send();
            echo(&sent.pipeline.get_executor(), "hi").await.unwrap();
        }
    });
    assert_eq!(seen.dropped.get(), 10_000);
    assert_eq!(membrane.held(), 0);
}

/// Counts what is pushed.
struct Sink(Seen);

impl byte_stream::Server for Sink {
    async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Result<(), Error> {
        self.0.calls.set(self.0.calls.get() + 1);
        Ok(())
    }
}

#[test]
fn streams_pass_and_die() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let (epochs, membrane) = standing();
        let sink: byte_stream::Client = capnp_rpc::new_client(Sink(seen.clone()));
        over(transport, &membrane, sink, |sink| async move {
            for _ in 0..100 {
                sink.push_request().send().await.unwrap();
            }
            until(|| seen.calls.get() == 100).await;
            epochs.advance(epoch(2)).unwrap();
            // Over a connection a stream learns of it by the call that ends it.
            let _ = sink.push_request().send().await;
            let finish = sink.finish_request().send().promise.await;
            assert_stale(finish, &format!("{transport:?}"));
            assert_eq!(seen.calls.get(), 100, "{transport:?}");
        });
    }
}

/// Panics when it is let go of.
struct Explosive;

impl host::Server for Explosive {}

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("let go of");
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn revoking_ends_calls_in_flight_although_drops_panic() {
    let seen = Seen::default();
    let membrane = Membrane::ungated();
    let explosive = || membrane.wrap::<host::Client>(capnp_rpc::new_client(Explosive));
    let before = [explosive(), explosive()];
    let host = membrane.wrap(peer(&seen));
    let after = [explosive(), explosive()];
    let told = Rc::new(Cell::new(false));
    let tell = told.clone();
    membrane.when_empty(move || tell.set(true));

    let mut call = host.addrs_request().send().promise;
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut call).poll(&mut cx).is_pending());
    assert_eq!(seen.waiting.get(), 1);
    woken.0.store(false, Ordering::Relaxed);
    let revoke = || membrane.revoke(Error::failed("over".into()));
    let panic = catch_unwind(AssertUnwindSafe(revoke)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"let go of"));
    assert!(woken.0.load(Ordering::Relaxed));
    let ended = block_on(poll_once(&mut call)).expect("no hang");
    let error = ended.err().unwrap();
    assert!(error.extra.contains("over"), "{error}");
    assert_eq!(seen.waiting.get(), 0);
    assert!(told.get());
    drop((before, after));
}

#[test]
fn advancing_ends_every_session_although_drops_panic() {
    // What is let go of panics, or whoever hears that all of it is.
    for drops in [true, false] {
        let seen = Seen::default();
        let (epochs, first) = standing();
        let second = Membrane::new(epochs.guard());
        // Whichever is asked first.
        let break_off = |membrane: &Membrane| {
            if drops {
                return membrane.wrap::<host::Client>(capnp_rpc::new_client(Explosive));
            }
            membrane.when_empty(|| panic!("let go of"));
            membrane.wrap(peer(&Seen::default()))
        };
        let third = Membrane::new(epochs.guard());
        // Nothing but their end lets go of what they hold.
        std::mem::forget([
            break_off(&first),
            second.wrap(peer(&seen)),
            break_off(&third),
        ]);
        let mut reaper = Reaper::new();
        assert!(block_on(poll_once(&mut reaper)).is_none());
        epochs.advance(epoch(2)).unwrap();
        let reap = || block_on(poll_once(&mut reaper));
        let panic = catch_unwind(AssertUnwindSafe(reap)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"let go of"));
        assert_eq!(seen.dropped.get(), 1, "drops: {drops}");
        assert!(block_on(poll_once(epochs.settled(2))).is_some());
        // It goes on as if nothing had happened.
        assert!(block_on(poll_once(&mut reaper)).is_none());
    }
}
