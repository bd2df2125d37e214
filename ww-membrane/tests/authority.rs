//! What a host can see of its membranes.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use capnp::Error;
use capnp::capability::FromClientHook;
use capnp::traits::HasTypeId;
use futures_lite::future::{block_on, poll_once};
use support::*;
use ww_membrane::policies::Allow;
use ww_membrane::{Call, Direction, Epochs, Fall, Held, Membrane, Passage, Policy, Verdict};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{executor, host};

/// Method, passed and denied calls.
fn counted(held: &Held) -> Vec<(u16, u64, u64)> {
    let methods = held.calls.methods.iter();
    methods
        .map(|known| (known.call.method(), known.passed, known.denied))
        .collect()
}

#[test]
fn what_is_held_and_called_is_listed() {
    for transport in TRANSPORTS {
        let allow = Allow::new()
            .method(host::Client::id_request)
            .method(host::Client::executor_request);
        let epochs = Epochs::new(epoch(4));
        let membrane = Membrane::policed_until(epochs.guard(), allow);
        let view = membrane.clone();
        let seen = Seen::default();
        over(transport, &membrane, peer(&seen), |host| async move {
            for _ in 0..3 {
                id(&host).await.unwrap();
            }
            assert!(host.addrs_request().send().promise.await.is_err());
            let answer = host.executor_request().send().promise.await.unwrap();
            let executor = answer.get().unwrap().get_executor().unwrap();
            assert!(echo(&executor, "hi").await.is_err());

            let authority = view.authority();
            assert_eq!(authority.epoch, Some(4));
            let policy = authority.policy.as_deref();
            assert_eq!(policy, Some("only Host.id, Host.executor"));
            assert_eq!(authority.fall, None);
            let [first, second] = &authority.held[..] else {
                panic!("{transport:?}: {authority:?}");
            };
            assert!(first.id < second.id);
            assert_eq!(first.direction, Direction::Outward, "{transport:?}");
            assert_eq!(first.interfaces(), [host::Client::TYPE_ID]);
            assert_eq!(counted(first), [(0, 3, 0), (1, 0, 1), (4, 1, 0)]);
            assert_eq!(second.interfaces(), [executor::Client::TYPE_ID]);
            assert_eq!(counted(second), [(1, 0, 1)], "{transport:?}");

            drop((answer, executor));
            until(|| view.held() == 1).await;
            let after = view.authority();
            assert_eq!(after.held, std::slice::from_ref(first), "{transport:?}");
            assert_eq!((after.past.passed(), after.past.denied()), (0, 1));
        });
    }
}

#[test]
fn callbacks_are_listed_as_what_the_inside_holds() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let membrane = Membrane::ungated();
        let view = membrane.clone();
        over(transport, &membrane, keeper, |keeper| async move {
            let mut request = keeper.spawn_request();
            let hook = peer(&Seen::default()).client.hook;
            request.get().init_bootstrap().set_as_capability(hook);
            request.send().promise.await.unwrap();
            let kept = seen.callback.borrow().clone().unwrap();
            id(&kept).await.unwrap();
            let held = view.authority().held;
            let inward = held.iter().find(|held| held.direction == Direction::Inward);
            assert_eq!(counted(inward.unwrap()), [(0, 1, 0)], "{transport:?}");
            drop(kept);
            seen.callback.take();
        });
    }
}

#[test]
fn what_has_fallen_says_why_and_what_was_called() {
    let (epochs, until_advanced) = standing();
    let until_revoked = Membrane::ungated();
    block_on(async {
        let mut falls = Vec::new();
        for membrane in [&until_advanced, &until_revoked] {
            let host = membrane.wrap(peer(&Seen::default()));
            id(&host).await.unwrap();
            assert_eq!(membrane.fall(), None);
            let mut fallen = membrane.fallen();
            assert!(poll_once(&mut fallen).await.is_none());
            falls.push((host, fallen));
        }
        epochs.advance(epoch(3)).unwrap();
        until_revoked.revoke(Error::overloaded("too many".into()));
        let mut reasons = Vec::new();
        for (membrane, (host, fallen)) in [&until_advanced, &until_revoked].iter().zip(falls) {
            let fall = fallen.await;
            assert_eq!(membrane.fall(), Some(fall.clone()));
            let error = id(&host).await.unwrap_err();
            assert_eq!(
                (error.kind, &error.extra),
                (fall.error().kind, &fall.error().extra)
            );
            let authority = membrane.authority();
            assert_eq!(authority.fall, Some(fall.clone()));
            assert_eq!(authority.held, []);
            // The call that came too late was put to no policy.
            assert_eq!((authority.past.passed(), authority.past.denied()), (1, 0));
            reasons.push(fall);
        }
        let stale = Fall::Epoch {
            issued: 1,
            current: 3,
        };
        assert_eq!(reasons[0], stale);
        assert!(stale.error().extra.starts_with("staleEpoch"), "{stale:?}");
        assert!(matches!(&reasons[1], Fall::Revoked(error) if error.extra == "too many"));
    });
}

#[test]
fn the_reason_stays_what_it_was() {
    let (epochs, membrane) = standing();
    membrane.revoke(Error::failed("by hand".into()));
    epochs.advance(epoch(2)).unwrap();
    membrane.revoke(Error::failed("again".into()));
    assert!(matches!(membrane.fall(), Some(Fall::Revoked(error)) if error.extra == "by hand"));

    let (epochs, membrane) = standing();
    epochs.advance(epoch(2)).unwrap();
    let stale = Fall::Epoch {
        issued: 1,
        current: 2,
    };
    assert_eq!(membrane.fall(), Some(stale.clone()));
    epochs.advance(epoch(9)).unwrap();
    membrane.revoke(Error::failed("too late".into()));
    assert_eq!(membrane.fall(), Some(stale));
}

#[test]
fn made_up_methods_cost_no_memory() {
    block_on(async {
        let membrane = Membrane::policed(Allow::new());
        let host = membrane.wrap(peer(&Seen::default()));
        for interface in 0..50_000 {
            let request = host
                .client
                .new_call::<capnp::any_pointer::Owned, capnp::any_pointer::Owned>(
                    interface, 0, None,
                );
            assert!(request.send().promise.await.is_err());
        }
        let held = membrane.authority().held.remove(0);
        assert_eq!(held.calls.methods.len(), 32);
        assert_eq!((held.calls.passed(), held.calls.denied()), (0, 50_000));
        drop(host);
        let past = membrane.authority().past;
        assert_eq!((past.methods.len(), past.denied()), (32, 50_000));
    });
}

#[test]
fn the_last_to_go_is_told_once() {
    for transport in TRANSPORTS {
        let membrane = Membrane::ungated();
        let told = Rc::new(Cell::new(0));
        let tell = {
            let told = told.clone();
            move || told.set(told.get() + 1)
        };
        membrane.when_empty(tell);
        assert_eq!(told.get(), 0, "{transport:?}: nothing was held yet");
        let (view, count) = (membrane.clone(), told.clone());
        let seen = Seen::default();
        over(transport, &membrane, peer(&seen), |host| async move {
            let answer = host.executor_request().send().promise.await.unwrap();
            drop(host);
            futures_lite::future::yield_now().await;
            assert_eq!(count.get(), 0, "{transport:?}: the executor is held");
            assert!(view.held() > 0, "{transport:?}");
            drop(answer);
        });
        // Those who exported it over a connection held it to the end of that.
        assert_eq!((told.get(), membrane.held()), (1, 0), "{transport:?}");
        drop(membrane.wrap(peer(&Seen::default())));
        assert_eq!(told.get(), 1, "{transport:?}: asked once, told once");
    }
}

#[test]
fn a_call_that_goes_on_is_something_held() {
    block_on(async {
        let membrane = Membrane::ungated();
        let seen = Seen::default();
        let told = Rc::new(Cell::new(false));
        let tell = told.clone();
        membrane.when_empty(move || tell.set(true));
        // What is below it and holds nothing does not count.
        let _child = membrane.child(Allow::new());
        let host = membrane.wrap(peer(&seen));
        let mut hanging = host.addrs_request().send().promise;
        seen.hanging(&mut hanging).await;
        drop(host);
        assert!(!told.get());
        drop(hanging);
        assert!(told.get());
    });
}

#[test]
fn who_is_told_may_do_as_it_likes() {
    let membrane = Membrane::ungated();
    let seen = Seen::default();
    let kept = Rc::new(RefCell::new(None));
    let again = {
        let (membrane, seen, kept) = (membrane.clone(), seen.clone(), kept.clone());
        move || {
            // Wraps, drops, asks to be told once more, keeps, and revokes.
            drop(membrane.wrap(peer(&seen)));
            let revoking = membrane.clone();
            membrane.when_empty(move || revoking.revoke(Error::failed("empty".into())));
            *kept.borrow_mut() = Some(membrane.wrap(peer(&seen)));
            drop(membrane.authority());
        }
    };
    membrane.when_empty(again);
    drop(membrane.wrap(peer(&seen)));
    assert!(membrane.check().is_ok());
    drop(kept.take());
    assert!(matches!(membrane.fall(), Some(Fall::Revoked(error)) if error.extra == "empty"));
    assert_eq!(seen.dropped.get(), 3);
}

#[test]
fn a_membrane_that_falls_tells_that_nothing_is_held() {
    let (epochs, membrane) = standing();
    let host = membrane.wrap(peer(&Seen::default()));
    let told = Rc::new(Cell::new(false));
    let tell = told.clone();
    membrane.when_empty(move || tell.set(true));
    epochs.advance(epoch(2)).unwrap();
    assert!(membrane.check().is_err());
    assert!(told.get());
    drop(host);
    // Nothing is held ever again.
    let tell = told.clone();
    membrane.when_empty(move || tell.set(false));
    assert!(!told.get());
}

#[test]
fn a_policy_may_revoke_while_it_weighs() {
    /// Revokes its membrane at the answer.
    struct Heavy(RefCell<Option<Membrane>>);
    impl Policy for Heavy {
        fn inbound(&self, _: &Call) -> Verdict {
            Verdict::pass()
        }
        fn weighs(&self) -> bool {
            true
        }
        fn weigh(&self, passage: &Passage) -> Result<(), Error> {
            if passage.is_answer() {
                assert_eq!(passage.direction(), Direction::Outward);
                if let Some(membrane) = self.0.take() {
                    membrane.revoke(Error::failed("seen enough".into()));
                }
            }
            Ok(())
        }
    }
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let heavy = Rc::new(Heavy(RefCell::default()));
        let membrane = Membrane::policed(heavy.clone());
        *heavy.0.borrow_mut() = Some(membrane.clone());
        over(transport, &membrane, peer(&seen), |host| async move {
            let error = id(&host).await.unwrap_err();
            assert!(
                error.extra.contains("seen enough"),
                "{transport:?}: {error}"
            );
        });
        assert_eq!(seen.calls.get(), 1, "{transport:?}");
    }
}

#[test]
fn calls_by_another_interface_are_listed_by_it() {
    block_on(async {
        let membrane = Membrane::ungated();
        let host = membrane.wrap(peer(&Seen::default()));
        id(&host).await.unwrap();
        let cast: executor::Client = host.clone().cast_to();
        assert!(echo(&cast, "hi").await.is_err());
        let held = membrane.authority().held.remove(0);
        let mut ids = [host::Client::TYPE_ID, executor::Client::TYPE_ID];
        ids.sort_unstable();
        assert_eq!(held.interfaces(), ids);
    });
}

#[test]
fn a_child_lists_what_is_its_own_on_its_parents_terms() {
    let (epochs, parent) = standing();
    let child = parent.child(Allow::new().method(host::Client::id_request));
    let (one, other) = (
        parent.wrap(peer(&Seen::default())),
        child.wrap(peer(&Seen::default())),
    );
    block_on(async {
        id(&other).await.unwrap();
        assert!(other.executor_request().send().promise.await.is_err());
        assert_eq!(parent.authority().held[0].calls.passed(), 0);
        let authority = child.authority();
        assert_eq!((authority.epoch, authority.held.len()), (Some(1), 1));
        assert_eq!(counted(&authority.held[0]), [(0, 1, 0), (4, 0, 1)]);
        let mut fallen = child.fallen();
        assert!(poll_once(&mut fallen).await.is_none());
        epochs.advance(epoch(2)).unwrap();
        // The child has no epoch of its own, but its parent's reason.
        assert!(id(&one).await.is_err());
        let stale = Fall::Epoch {
            issued: 1,
            current: 2,
        };
        assert_eq!(poll_once(fallen).await, Some(stale.clone()));
        assert_eq!(child.authority().fall, Some(stale));
        assert_eq!(child.authority().past.denied(), 1);
    });
}
