//! Membranes within membranes, and membranes of one root.

mod support;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind};
use support::*;
use ww_membrane::policies::{Allow, Caretaker, InFlight};
use ww_membrane::{Epochs, Fall, Membrane};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{executor, host};

fn fell(name: &str) -> Error {
    Error::disconnected(format!("{name} fell"))
}

#[test]
fn siblings_unwrap_each_others_capabilities_and_strangers_do_not() {
    for transport in TRANSPORTS {
        for related in [true, false] {
            let case = format!("{transport:?}, related: {related}");
            let seen = Seen::default();
            let root = Membrane::ungated();
            let (first, second) = if related {
                (root.child(()), root.child(()))
            } else {
                (Membrane::ungated(), Membrane::ungated())
            };
            // Let out by one, and handed in through the other.
            let inside = peer(&Seen::default());
            let out = first.wrap(inside.clone());
            let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
            let boundary = second.clone();
            over(transport, &boundary, keeper, |keeper| async move {
                let mut request = keeper.spawn_request();
                request
                    .get()
                    .init_bootstrap()
                    .set_as_capability(out.client.hook);
                request.send().promise.await.unwrap();
                let kept = seen.callback.borrow().clone().unwrap();
                if matches!(transport, Transport::Local) {
                    let same = kept.client.hook.get_ptr() == inside.client.hook.get_ptr();
                    assert_eq!(same, related, "{case}");
                }
                first.revoke(fell("first"));
                second.revoke(fell("second"));
                // What was unwrapped is not of either membrane any more. Over a
                // connection it comes as a capability of the caller's.
                let survives = related && !matches!(transport, Transport::Exported);
                assert_eq!(id(&kept).await.is_ok(), survives, "{case}");
            });
        }
    }
}

#[test]
fn a_child_falls_alone_and_a_parent_with_all_of_them() {
    for transport in TRANSPORTS {
        for parent_falls in [false, true] {
            let case = format!("{transport:?}, parent falls: {parent_falls}");
            let (one, other) = (Seen::default(), Seen::default());
            let root = Membrane::ungated();
            let (child, sibling) = (root.child(()), root.child(()));
            let grandchild = sibling.child(());
            let held = grandchild.wrap(peer(&other));
            let boundary = child.clone();
            over(transport, &boundary, peer(&one), |host| async move {
                assert_eq!(id(&host).await.unwrap(), b"peer", "{case}");
                assert_eq!(id(&held).await.unwrap(), b"peer", "{case}");
                if parent_falls {
                    root.revoke(fell("root"));
                    assert_eq!(other.dropped.get(), 1, "{case}: released at once");
                } else {
                    child.revoke(fell("child"));
                }
                let error = id(&host).await.unwrap_err();
                let who = if parent_falls {
                    "root fell"
                } else {
                    "child fell"
                };
                assert!(error.extra.contains(who), "{case}: {error}");
                assert_eq!(id(&held).await.is_ok(), !parent_falls, "{case}");
                assert_eq!(sibling.check().is_ok(), !parent_falls, "{case}");
                assert_eq!(root.check().is_ok(), !parent_falls, "{case}");
            });
        }
    }
}

#[test]
fn a_child_passes_no_more_than_its_parent() {
    for transport in TRANSPORTS {
        let limit = InFlight::new(1);
        let both = Allow::new()
            .method(host::Client::id_request)
            .method(host::Client::addrs_request);
        let root = Membrane::policed((both, limit.clone()));
        let child = root.child(
            Allow::new()
                .method(host::Client::id_request)
                .method(host::Client::executor_request),
        );
        over(
            transport,
            &child,
            peer(&Seen::default()),
            |host| async move {
                assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
                for denied in [
                    host.addrs_request().send().promise.await.map(|_| ()),
                    host.executor_request().send().promise.await.map(|_| ()),
                ] {
                    let error = denied.unwrap_err();
                    assert_eq!(error.kind, ErrorKind::Failed, "{transport:?}: {error}");
                    assert!(
                        error.extra.contains("is not allowed"),
                        "{transport:?}: {error}"
                    );
                }
                until(|| limit.count() == 0).await;
            },
        );
    }
}

#[test]
fn what_is_given_out_again_is_behind_the_policy_of_whoever_gives_it_out() {
    for child in [true, false] {
        let root = Membrane::ungated();
        let allow = Allow::new().method(host::Client::id_request);
        let less = match child {
            true => root.child(allow).wrap(peer(&Seen::default())),
            // Not seen through by the root.
            false => root.wrap(Membrane::policed(allow).wrap(peer(&Seen::default()))),
        };
        // The inside gives back to anybody what it was handed.
        let keeper: program::Client = capnp_rpc::new_client(Keeper(Seen::default()));
        let keeper = root.wrap(keeper);
        futures_lite::future::block_on(async {
            assert!(less.executor_request().send().promise.await.is_err());
            let mut request = keeper.spawn_request();
            let mut bootstrap = request.get().init_bootstrap();
            bootstrap.set_as_capability(less.client.hook);
            let process = request.send().pipeline.get_process();
            let back = process.bootstrap_request().send().promise.await.unwrap();
            let back = back.get().unwrap().get_cap();
            let back: host::Client = back.get_as_capability().unwrap();
            assert_eq!(id(&back).await.unwrap(), b"peer");
            let goes_further = back.executor_request().send().promise.await.is_ok();
            assert_eq!(goes_further, child);
        });
    }
}

/// What a host is made of: an object of its own, and one that it gives out by
/// another membrane.
struct Desk {
    bare: executor::Client,
    let_out: executor::Client,
}

impl host::Server for Desk {
    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), Error> {
        results.get().set_executor(self.let_out.clone());
        Ok(())
    }
}

impl program::Server for Desk {
    async fn spawn(
        self: Rc<Self>,
        _: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        results.get().set_process(self.bare.clone().cast_to());
        Ok(())
    }
}

#[test]
fn the_outermost_leaves_alone_what_another_has_let_out_and_nothing_else() {
    for transport in TRANSPORTS {
        let (session, edge) = (Membrane::ungated(), Membrane::outermost());
        let seen = Seen::default();
        let runner = || capnp_rpc::new_client(Runner(seen.clone()));
        let desk = Rc::new(Desk {
            bare: runner(),
            let_out: session.wrap(runner()),
        });
        let name = desk.let_out.client.hook.get_ptr();
        let host: host::Client = capnp_rpc::new_client_from_rc(desk.clone());
        let view = edge.clone();
        over(transport, &edge.clone(), host, |host| async move {
            let let_out = host.executor_request().send().promise.await.unwrap();
            let let_out = let_out.get().unwrap().get_executor().unwrap();
            assert_eq!(
                echo(&let_out, "hi").await.unwrap(),
                "Echo: hi",
                "{transport:?}"
            );
            // Behind a connection it is an object like any other.
            let far = matches!(transport, Transport::Imported);
            assert_eq!(view.held(), 1 + usize::from(far), "{transport:?}");
            if matches!(transport, Transport::Local) {
                assert_eq!(let_out.client.hook.get_ptr(), name);
            }
            session.revoke(fell("session"));
            let error = echo(&let_out, "hi").await.unwrap_err();
            assert!(
                error.extra.contains("session fell"),
                "{transport:?}: {error}"
            );
            drop(host);
        });
        let program: program::Client = capnp_rpc::new_client_from_rc(desk);
        let view = edge.clone();
        over(transport, &edge, program, |program| async move {
            let bare = program.spawn_request().send().promise.await.unwrap();
            let bare: executor::Client = bare.get().unwrap().get_process().unwrap().cast_to();
            assert_eq!(
                echo(&bare, "hi").await.unwrap(),
                "Echo: hi",
                "{transport:?}"
            );
            assert_eq!(view.held(), 2, "{transport:?}");
            view.revoke(fell("edge"));
            let error = echo(&bare, "hi").await.unwrap_err();
            assert!(error.extra.contains("edge fell"), "{transport:?}: {error}");
        });
    }
}

#[test]
fn what_is_handed_to_the_outermost_is_wrapped_though_another_had_it() {
    for transport in TRANSPORTS {
        let case = format!("{transport:?}");
        let (session, edge) = (Membrane::ungated(), Membrane::outermost());
        let seen = Seen::default();
        // Somebody else's, as the inside of the session has it.
        let handed = session.wrap_reverse(peer(&Seen::default()));
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let view = edge.clone();
        over(transport, &edge, keeper, |keeper| async move {
            let mut request = keeper.spawn_request();
            let hook = handed.client.hook;
            request.get().init_bootstrap().set_as_capability(hook);
            request.send().promise.await.unwrap();
            let kept = seen.callback.borrow().clone().unwrap();
            assert_eq!(id(&kept).await.unwrap(), b"peer", "{case}");
            view.revoke(fell("edge"));
            let error = id(&kept).await.unwrap_err();
            assert!(error.extra.contains("edge fell"), "{case}: {error}");
        });
    }
}

#[test]
fn a_child_of_an_epoch_falls_with_it() {
    let epochs = Epochs::new(epoch(1));
    let root = Membrane::ungated();
    let child = root.child_until(epochs.guard(), ());
    let seen = Seen::default();
    let held = child.wrap(peer(&seen));
    epochs.advance(epoch(2)).unwrap();
    assert_stale(futures_lite::future::block_on(id(&held)), "child");
    assert_eq!(seen.dropped.get(), 1);
    assert!(root.check().is_ok());
}

#[test]
fn what_a_sibling_let_out_falls_with_either() {
    for parent_first in [false, true] {
        let root = Membrane::ungated();
        let child = root.child(());
        let seen = Seen::default();
        let twice = child.wrap(root.wrap(peer(&seen)));
        futures_lite::future::block_on(async {
            assert_eq!(id(&twice).await.unwrap(), b"peer");
            if parent_first {
                root.revoke(fell("root"));
            } else {
                child.revoke(fell("child"));
            }
            assert!(id(&twice).await.is_err());
        });
        drop(twice);
        assert_eq!(seen.dropped.get(), 1);
        assert_eq!((root.held(), child.held()), (0, 0));
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
fn who_waits_for_a_child_to_fall_hears_why_its_parent_fell() {
    for by_epoch in [false, true] {
        let epochs = Epochs::new(epoch(1));
        let root = if by_epoch {
            Membrane::new(epochs.guard())
        } else {
            Membrane::ungated()
        };
        let child = root.child(());
        let grandchild = child.child(InFlight::new(1));
        let seen = Seen::default();
        let held = grandchild.wrap(peer(&seen));
        let call = held.addrs_request().send().promise;

        let woken = [Arc::new(Woken::default()), Arc::default()];
        let wakers = woken.clone().map(Waker::from);
        let (mut fallen, mut call) = (pin!(grandchild.fallen()), pin!(call));
        let mut falling = Context::from_waker(&wakers[0]);
        let mut calling = Context::from_waker(&wakers[1]);
        assert!(fallen.as_mut().poll(&mut falling).is_pending());
        assert!(call.as_mut().poll(&mut calling).is_pending());
        assert_eq!(seen.waiting.get(), 1);
        let expected = if by_epoch {
            epochs.advance(epoch(2)).unwrap();
            Fall::Epoch {
                issued: 1,
                current: 2,
            }
        } else {
            root.revoke(fell("root"));
            Fall::Revoked(fell("root"))
        };
        // Nothing else has touched them.
        for woken in woken {
            assert!(woken.0.load(Ordering::Relaxed), "by epoch: {by_epoch}");
        }
        let fall = fallen.as_mut().poll(&mut falling);
        assert_eq!(fall, Poll::Ready(expected.clone()));
        let Poll::Ready(Err(error)) = call.as_mut().poll(&mut calling) else {
            panic!("by epoch: {by_epoch}: goes on");
        };
        assert_eq!(error.extra, expected.error().extra);
        assert_eq!((seen.waiting.get(), seen.dropped.get()), (0, 1));
        for membrane in [&root, &child, &grandchild] {
            assert_eq!(membrane.fall().as_ref(), Some(&expected));
        }
        // What came later changes nothing, and a child that comes too late has
        // fallen for the same reason.
        child.revoke(fell("child"));
        assert_eq!(child.fall().as_ref(), Some(&expected));
        assert_eq!(root.child(()).fall().as_ref(), Some(&expected));
    }
}

#[test]
fn a_child_that_falls_alone_says_so() {
    let root = Membrane::ungated();
    let epochs = Epochs::new(epoch(1));
    let caretaker = Caretaker::new();
    let (kept, lent) = (root.child(()), root.child(caretaker.clone()));
    let timed = root.child_until(epochs.guard(), ());
    epochs.advance(epoch(3)).unwrap();
    caretaker.revoke(fell("lent"));
    let stale = Fall::Epoch {
        issued: 1,
        current: 3,
    };
    assert_eq!(timed.fall(), Some(stale.clone()));
    assert_eq!(lent.fall(), Some(Fall::Revoked(fell("lent"))));
    root.revoke(fell("root"));
    assert_eq!(kept.fall(), Some(Fall::Revoked(fell("root"))));
    assert_eq!(timed.fall(), Some(stale));
    assert_eq!(lent.fall(), Some(Fall::Revoked(fell("lent"))));
}

/// Has a membrane fall, and looks at once whether what its child held is let go of.
struct Revokes {
    parent: Membrane,
    seen: Seen,
    dropped: Cell<Option<usize>>,
}

impl host::Server for Revokes {
    async fn id(self: Rc<Self>, _: host::IdParams, _: host::IdResults) -> Result<(), Error> {
        self.parent.revoke(fell("parent"));
        self.dropped.set(Some(self.seen.dropped.get()));
        Ok(())
    }
}

#[test]
fn what_children_hold_is_let_go_of_before_revoking_their_parent_returns() {
    let (parent, seen) = (Membrane::ungated(), Seen::default());
    let child = parent.child(());
    let grandchild = child.child(());
    let _held = [child.wrap(peer(&seen)), grandchild.wrap(peer(&seen))];
    let server = Rc::new(Revokes {
        parent,
        seen: seen.clone(),
        dropped: Cell::default(),
    });
    // In the poll of a vat, where what is stale is let go of later.
    let client: host::Client = capnp_rpc::new_client_from_rc(server.clone());
    connected(client, |revokes| async move {
        id(&revokes).await.unwrap();
        assert_eq!(server.dropped.get(), Some(2));
    });
    for membrane in [child, grandchild] {
        let Some(Fall::Revoked(error)) = membrane.fall() else {
            panic!("it falls as its parent does");
        };
        assert!(error.extra.contains("parent fell"), "{error}");
    }
}
