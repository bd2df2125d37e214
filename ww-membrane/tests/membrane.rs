//! What holds across a membrane, locally and over connections on either side.

mod support;

use std::cell::Cell;
use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind, any_pointer, capability_list};
use futures_lite::future::{block_on, or, poll_once, yield_now, zip};
use support::*;
use ww_membrane::{Membrane, Reaper};
use ww_rpc::cell_capnp::program;
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{byte_stream, executor, host};
use ww_rpc::stem_capnp::{membrane, session};

type Fill = fn(any_pointer::Builder<'_>, host::Client) -> Result<(), Error>;
type Find = fn(any_pointer::Reader<'_>) -> Result<host::Client, Error>;

/// Answers `graft` with an extension of any shape.
struct Shape {
    fill: Fill,
    host: host::Client,
}

impl membrane::Server<any_pointer::Owned> for Shape {
    async fn graft(
        self: Rc<Self>,
        _: membrane::GraftParams<any_pointer::Owned>,
        mut results: membrane::GraftResults<any_pointer::Owned>,
    ) -> Result<(), Error> {
        let extension = results.get().init_session().init_extension();
        (self.fill)(extension, self.host.clone())
    }
}

const SHAPES: [(&str, Fill, Find); 4] = [
    (
        "a pointer to anything",
        |mut at, host| {
            at.set_as_capability(host.client.hook);
            Ok(())
        },
        |at| at.get_as_capability(),
    ),
    (
        "a struct",
        |at, host| {
            at.init_as::<wetware_session::Builder<'_>>().set_host(host);
            Ok(())
        },
        |at| at.get_as::<wetware_session::Reader<'_>>()?.get_host(),
    ),
    (
        "a list",
        |at, host| {
            let mut list: capability_list::Builder<'_, host::Client> = at.initn_as(3);
            for index in 0..3 {
                list.set(index, host.client.hook.add_ref());
            }
            Ok(())
        },
        |at| {
            at.get_as::<capability_list::Reader<'_, host::Client>>()?
                .get(2)
        },
    ),
    (
        "a struct in a struct",
        |at, host| {
            let outer: session::Builder<'_, wetware_session::Owned> = at.init_as();
            outer.init_extension().set_host(host);
            Ok(())
        },
        |at| {
            let outer: session::Reader<'_, wetware_session::Owned> = at.get_as()?;
            outer.get_extension()?.get_host()
        },
    ),
];

#[test]
fn capabilities_are_wrapped_wherever_they_stand_in_an_answer() {
    for transport in TRANSPORTS {
        for (shape, fill, find) in SHAPES {
            let case = format!("{transport:?}, {shape}");
            let seen = Seen::default();
            let (epochs, membrane) = standing();
            let inside: membrane::Client<any_pointer::Owned> = capnp_rpc::new_client(Shape {
                fill,
                host: peer(&seen),
            });
            over(transport, &membrane, inside, |outside| async move {
                let answer = outside.graft_request().send().promise.await.unwrap();
                let extension = || answer.get()?.get_session()?.get_extension();
                let host = extension().and_then(find).unwrap();
                assert_eq!(id(&host).await.unwrap(), b"peer", "{case}");
                epochs.advance(epoch(2)).unwrap();
                assert_stale(id(&host).await, &case);
                let late = extension().and_then(find).unwrap();
                assert_stale(id(&late).await, &format!("{case}, taken late"));
                assert_eq!(seen.calls.get(), 1, "{case}");
            });
        }
    }
}

#[test]
fn a_message_with_too_many_capabilities_is_refused() {
    fn list(at: any_pointer::Builder<'_>, host: host::Client) -> Result<(), Error> {
        let mut list: capability_list::Builder<'_, host::Client> = at.initn_as(5000);
        for index in 0..5000 {
            list.set(index, host.client.hook.add_ref());
        }
        Ok(())
    }
    for transport in TRANSPORTS {
        let (_epochs, membrane) = standing();
        let inside: membrane::Client<any_pointer::Owned> = capnp_rpc::new_client(Shape {
            fill: list,
            host: peer(&Seen::default()),
        });
        over(transport, &membrane, inside, |outside| async move {
            let error = outside.graft_request().send().promise.await.err().unwrap();
            assert_eq!(error.kind, ErrorKind::Failed);
            assert!(error.extra.contains("5000"), "{error}");
        });
    }
}

#[test]
fn the_same_capability_gives_the_same_wrapper() {
    for transport in TRANSPORTS {
        let (epochs, membrane) = standing();
        let held = membrane.clone();
        over(
            transport,
            &membrane,
            peer(&Seen::default()),
            |host| async move {
                let first = host.executor_request().send().promise.await.unwrap();
                let second = host.executor_request().send().promise.await.unwrap();
                let first = first.get().unwrap().get_executor().unwrap();
                let second = second.get().unwrap().get_executor().unwrap();
                let name = |client: &executor::Client| {
                    (client.client.hook.get_brand(), client.client.hook.get_ptr())
                };
                assert_eq!(name(&first), name(&second), "{transport:?}");
                let before = name(&first);
                assert_eq!(held.held(), 2, "{transport:?}");
                epochs.advance(epoch(2)).unwrap();
                assert!(echo(&first, "hi").await.is_err());
                assert_eq!(name(&first), before, "{transport:?}");
            },
        );
    }
}

#[test]
fn a_callback_is_wrapped_for_the_inside_and_dies_too() {
    for transport in TRANSPORTS {
        let case = format!("{transport:?}");
        let (inner, outer) = (Seen::default(), Seen::default());
        let (epochs, membrane) = standing();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(inner.clone()));
        over(transport, &membrane, keeper, |keeper| async move {
            let mut request = keeper.spawn_request();
            let own = peer(&outer);
            let name = own.client.hook.get_ptr();
            request
                .get()
                .init_bootstrap()
                .set_as_capability(own.client.hook);
            let process = request.send().promise.await.unwrap();
            let callback = inner.callback.borrow().clone().unwrap();
            assert_eq!(id(&callback).await.unwrap(), b"peer", "{case}");

            let process = process.get().unwrap().get_process().unwrap();
            let back = process.bootstrap_request().send().promise.await.unwrap();
            let back: host::Client = back.get().unwrap().get_cap().get_as_capability().unwrap();
            back.client.when_resolved().await.unwrap();
            let mut hook = back.client.hook.add_ref();
            while let Some(next) = hook.get_resolved() {
                hook = next;
            }
            assert_eq!(hook.get_ptr(), name, "{case}: unwrapped on its way back");

            epochs.advance(epoch(2)).unwrap();
            assert_stale(id(&callback).await, &case);
            assert_eq!(outer.calls.get(), 1, "{case}");
            assert_eq!(
                id(&back).await.unwrap(),
                b"peer",
                "{case}: its own survives"
            );
        });
    }
}

#[test]
fn pipelined_capabilities_work_and_die_before_and_after_the_return() {
    for transport in TRANSPORTS {
        let case = format!("{transport:?}");
        let seen = Seen::default();
        let (epochs, membrane) = standing();
        over(transport, &membrane, peer(&seen), |host| async move {
            let sent = host.executor_request().send();
            let before = sent.pipeline.get_executor();
            assert_eq!(echo(&before, "1").await.unwrap(), "Echo: 1", "{case}");
            let answer = sent.promise.await.unwrap();
            let after = sent.pipeline.get_executor();
            assert_eq!(echo(&after, "2").await.unwrap(), "Echo: 2", "{case}");

            let open = host.executor_request().send();
            let unused = open.pipeline.get_executor();
            epochs.advance(epoch(2)).unwrap();
            let calls = seen.calls.get();
            for (name, executor) in [
                ("taken before the return", before),
                ("taken after the return", after),
                ("never returned", unused),
                ("taken after the advance", sent.pipeline.get_executor()),
                (
                    "from the answer",
                    answer.get().unwrap().get_executor().unwrap(),
                ),
            ] {
                assert_stale(echo(&executor, "3").await, &format!("{case}, {name}"));
            }
            assert_eq!(seen.calls.get(), calls, "{case}");
            assert_stale(open.promise.await, &case);
        });
    }
}

#[test]
fn a_null_capability_is_an_error_and_no_panic() {
    for transport in TRANSPORTS {
        for drive in [false, true] {
            let (_epochs, membrane) = standing();
            let inside: host::Client = capnp_rpc::new_client(Peer {
                seen: Seen::default(),
                executor: None,
            });
            over(transport, &membrane, inside, |host| async move {
                let sent = host.executor_request().send();
                let before = sent.pipeline.get_executor();
                assert!(echo(&before, "hi").await.is_err(), "{transport:?}");
                if drive {
                    // The return is in, and nobody has looked at the answer.
                    for _ in 0..100 {
                        yield_now().await;
                    }
                } else {
                    sent.promise.await.unwrap();
                }
                // Behind a connection the pipeline is not ours, and panics.
                if !matches!(transport, Transport::Exported) {
                    let after = sent.pipeline.get_executor();
                    assert!(echo(&after, "hi").await.is_err(), "{transport:?}");
                }
            });
        }
    }
}

#[test]
fn casting_does_not_get_around() {
    for transport in TRANSPORTS {
        let (epochs, membrane) = standing();
        over(
            transport,
            &membrane,
            peer(&Seen::default()),
            |host| async move {
                let cast: executor::Client = host.clone().cast_to();
                let error = echo(&cast, "hi").await.unwrap_err();
                assert_eq!(
                    error.kind,
                    ErrorKind::Unimplemented,
                    "{transport:?}: {error}"
                );
                epochs.advance(epoch(2)).unwrap();
                assert_stale(echo(&cast, "hi").await, &format!("{transport:?}"));
                assert_stale(id(&cast.cast_to()).await, &format!("{transport:?}"));
            },
        );
    }
}

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
            let sent = host.addrs_request().send();
            or(until(|| seen.waiting.get() == 1), async {
                let _ = sent.promise.await;
            })
            .await;
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
            or(until(|| seen.waiting.get() == 1), async {
                let _ = (&mut waiting).await;
            })
            .await;
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

#[test]
fn promises_are_wrapped_as_what_they_resolve_to() {
    for transport in TRANSPORTS {
        let case = format!("{transport:?}");
        let seen = Seen::default();
        let (epochs, membrane) = standing();
        let host = peer(&seen);
        let promise: host::Client = capnp_rpc::new_future_client(async move {
            yield_now().await;
            Ok(host)
        });
        over(transport, &membrane, promise, |host| async move {
            assert_eq!(id(&host).await.unwrap(), b"peer", "{case}");
            if matches!(transport, Transport::Local) {
                host.client.when_resolved().await.unwrap();
                host.client.when_resolved().await.unwrap();
            }
            assert_eq!(id(&host).await.unwrap(), b"peer", "{case}");
            epochs.advance(epoch(2)).unwrap();
            assert_stale(id(&host).await, &case);
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

/// Sets the pipeline of `executor`, then waits or adds another capability.
struct Early {
    seen: Seen,
    adds: bool,
}

impl membrane::Server<wetware_session::Owned> for Early {
    async fn graft(
        self: Rc<Self>,
        _: membrane::GraftParams<wetware_session::Owned>,
        mut results: membrane::GraftResults<wetware_session::Owned>,
    ) -> Result<(), Error> {
        let mut extension = results.get().init_session().init_extension();
        extension.set_host(peer(&self.seen));
        results.set_pipeline()?;
        until(|| self.seen.calls.get() == 1).await;
        let mut session = results.get().get_session()?;
        session.reborrow().init_issued_epoch().set_seq(42);
        if self.adds {
            let executor = capnp_rpc::new_client(Runner(self.seen.clone()));
            session.get_extension()?.set_executor(executor);
        }
        Ok(())
    }
}

#[test]
fn a_pipeline_that_was_set_early_is_wrapped() {
    for transport in [Transport::Local, Transport::Exported] {
        for adds in [false, true] {
            let case = format!("{transport:?}, adds: {adds}");
            let seen = Seen::default();
            let (epochs, membrane) = standing();
            let inside: membrane::Client<wetware_session::Owned> = capnp_rpc::new_client(Early {
                seen: seen.clone(),
                adds,
            });
            over(transport, &membrane, inside, |outside| async move {
                let sent = outside.graft_request().send();
                let host = sent.pipeline.get_session().get_extension().get_host();
                let (early, answer) = zip(id(&host), sent.promise).await;
                assert_eq!(early.unwrap(), b"peer", "{case}");
                if adds && matches!(transport, Transport::Exported) {
                    // The connection has been told all capabilities by then.
                    let error = answer.err().unwrap();
                    assert!(error.extra.contains("pipeline"), "{case}: {error}");
                } else {
                    let answer = answer.unwrap();
                    let session = answer.get().unwrap().get_session().unwrap();
                    assert_eq!(session.get_issued_epoch().unwrap().get_seq(), 42, "{case}");
                    let late = session.get_extension().unwrap().get_host().unwrap();
                    assert_eq!(id(&late).await.unwrap(), b"peer", "{case}");
                    assert_eq!(session.get_extension().unwrap().has_executor(), adds);
                }
                epochs.advance(epoch(2)).unwrap();
                let kind = id(&host).await.unwrap_err().kind;
                if adds && matches!(transport, Transport::Exported) {
                    assert_eq!(kind, ErrorKind::Failed, "{case}: broken by its call");
                } else {
                    assert_eq!(kind, ErrorKind::Disconnected, "{case}");
                }
            });
        }
    }
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
