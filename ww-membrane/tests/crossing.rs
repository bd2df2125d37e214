//! What crosses a membrane, and as what: locally and over connections on
//! either side.

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind, any_pointer, capability_list};
use capnp_rpc::rpc_capnp::call;
use futures_lite::future::{poll_once, yield_now, zip};
use support::*;
use ww_membrane::Membrane;
use ww_rpc::cell_capnp::program;
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host, process};
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

const SHAPES: [(&str, Fill, Find); 5] = [
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
    (
        "a group in a struct",
        |at, host| {
            let outer: call::Builder<'_> = at.init_as();
            let mut group = outer.get_send_results_to().init_third_party();
            group.set_as_capability(host.client.hook);
            Ok(())
        },
        |at| {
            let outer: call::Reader<'_> = at.get_as()?;
            match outer.get_send_results_to().which()? {
                call::send_results_to::ThirdParty(at) => at.get_as_capability(),
                _ => Err(Error::failed("the group has another member".into())),
            }
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

/// Finds a capability in what it is handed.
struct Finder {
    find: Find,
    found: Rc<RefCell<Option<host::Client>>>,
}

impl program::Server for Finder {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        _: program::SpawnResults,
    ) -> Result<(), Error> {
        let handed = params.get()?.get_bootstrap();
        self.found.replace(Some((self.find)(handed)?));
        Ok(())
    }
}

#[test]
fn capabilities_are_wrapped_wherever_they_stand_in_parameters() {
    for transport in TRANSPORTS {
        for (shape, fill, find) in SHAPES {
            let case = format!("{transport:?}, {shape}");
            let seen = Seen::default();
            let (epochs, membrane) = standing();
            let found = Rc::default();
            let inside: program::Client = capnp_rpc::new_client(Finder {
                find,
                found: Rc::clone(&found),
            });
            over(transport, &membrane, inside, |outside| async move {
                let mut request = outside.spawn_request();
                fill(request.get().init_bootstrap(), peer(&seen)).unwrap();
                request.send().promise.await.unwrap();
                let host = found.borrow().clone().unwrap();
                assert_eq!(id(&host).await.unwrap(), b"peer", "{case}");
                epochs.advance(epoch(2)).unwrap();
                assert_stale(id(&host).await, &case);
                assert_eq!(seen.calls.get(), 1, "{case}");
            });
        }
    }
}

/// Hands its own peer to the program that it is handed.
struct Hands(Seen);

impl program::Server for Hands {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        _: program::SpawnResults,
    ) -> Result<(), Error> {
        let callback: program::Client = params.get()?.get_bootstrap().get_as_capability()?;
        let mut request = callback.spawn_request();
        let own = peer(&self.0);
        let hook = own.client.hook;
        request.get().init_bootstrap().set_as_capability(hook);
        request.send().promise.await.map(drop)
    }
}

#[test]
fn what_a_callback_is_handed_is_wrapped_and_dies_too() {
    for transport in TRANSPORTS {
        let case = format!("{transport:?}");
        let (inner, outer) = (Seen::default(), Seen::default());
        let (epochs, membrane) = standing();
        let hands: program::Client = capnp_rpc::new_client(Hands(inner.clone()));
        over(transport, &membrane, hands, |hands| async move {
            let callback: program::Client = capnp_rpc::new_client(Keeper(outer.clone()));
            let mut request = hands.spawn_request();
            let hook = callback.client.hook;
            request.get().init_bootstrap().set_as_capability(hook);
            request.send().promise.await.unwrap();
            let handed = outer.callback.borrow().clone().unwrap();
            assert_eq!(id(&handed).await.unwrap(), b"peer", "{case}");
            epochs.advance(epoch(2)).unwrap();
            assert_stale(id(&handed).await, &case);
            assert_eq!(inner.calls.get(), 1, "{case}");
            until(|| inner.dropped.get() == 1).await;
        });
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
    for transport in TRANSPORTS {
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
                // Behind a connection the early pipeline is that side's own affair.
                let refused = adds && !matches!(transport, Transport::Imported);
                if refused {
                    // Who pipelines has been told all capabilities by then.
                    let error = answer.err().unwrap();
                    assert!(error.extra.contains("pipeline"), "{case}: {error}");
                } else {
                    let answer = answer.unwrap();
                    let session = answer.get().unwrap().get_session().unwrap();
                    assert_eq!(session.get_issued_epoch().unwrap().get_seq(), 42, "{case}");
                    let late = session.get_extension().unwrap().get_host().unwrap();
                    assert_eq!(id(&late).await.unwrap(), b"peer", "{case}");
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

/// Looks at the pipeline of a call that calls it back.
struct Looks {
    pipeline: RefCell<Option<program::spawn_results::Pipeline>>,
    found: RefCell<Option<process::Client>>,
    calls: bool,
}

impl host::Server for Looks {
    async fn id(
        self: Rc<Self>,
        _: host::IdParams,
        mut results: host::IdResults,
    ) -> Result<(), Error> {
        let pipeline = self.pipeline.take().expect("it is looked at once");
        let found = pipeline.get_process();
        if self.calls {
            let mut early = found.bootstrap_request().send().promise;
            assert!(poll_once(&mut early).await.is_none(), "there is no answer");
        }
        *self.found.borrow_mut() = Some(found);
        results.get().set_peer_id(b"peer");
        Ok(())
    }
}

/// Calls what it is handed before it answers, and is a [`Keeper`] otherwise.
struct CallsBack {
    keeper: Rc<Keeper>,
    slowly: bool,
}

impl program::Server for CallsBack {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        results: program::SpawnResults,
    ) -> Result<(), Error> {
        let callback: host::Client = params.get()?.get_bootstrap().get_as_capability()?;
        id(&callback).await?;
        if self.slowly {
            yield_now().await;
        }
        program::Server::spawn(self.keeper.clone(), params, results).await
    }
}

#[test]
fn a_pipeline_that_is_looked_at_from_within_its_call_is_told_the_answer() {
    for transport in TRANSPORTS {
        for bits in 0..16 {
            let [calls, looked, slowly, waits] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let case = format!("{transport:?}, {calls}, {looked}, {slowly}, {waits}");
            let calls_back: program::Client = capnp_rpc::new_client(CallsBack {
                keeper: Rc::new(Keeper(Seen::default())),
                slowly,
            });
            let membrane = Membrane::ungated();
            over(transport, &membrane, calls_back, |outside| async move {
                let looks = Rc::new(Looks {
                    pipeline: RefCell::default(),
                    found: RefCell::default(),
                    calls,
                });
                let callback: host::Client = capnp_rpc::new_client_from_rc(looks.clone());
                let mut request = outside.spawn_request();
                let hook = callback.client.hook;
                request.get().init_bootstrap().set_as_capability(hook);
                let sent = request.send();
                let before = looked.then(|| sent.pipeline.get_process());
                *looks.pipeline.borrow_mut() = Some(sent.pipeline);
                let mut promise = sent.promise;
                if waits {
                    (&mut promise).await.unwrap();
                } else {
                    while looks.found.borrow().is_none() && poll_once(&mut promise).await.is_none()
                    {
                        yield_now().await;
                    }
                }
                drop(promise);
                let found = looks.found.take().unwrap();
                let mut back = Box::pin(found.bootstrap_request().send().promise);
                let mut ended = None;
                for _ in 0..1000 {
                    ended = poll_once(&mut back).await;
                    if ended.is_some() {
                        break;
                    }
                    yield_now().await;
                }
                ended.unwrap_or_else(|| panic!("{case}: hangs")).unwrap();
                drop(before);
            });
        }
    }
}
