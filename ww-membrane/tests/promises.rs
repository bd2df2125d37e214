//! Promises on either side of a membrane: what they resolve to, and in which
//! order calls on them arrive.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use capnp::capability::{Client, FromClientHook, RemotePromise};
use capnp::traits::HasTypeId;
use capnp::{Error, ErrorKind};
use futures::channel::oneshot;
use futures::future::{maybe_done, try_join_all};
use futures_lite::future::{block_on, pending, poll_once, ready, yield_now, zip};
use support::steps::Net;
use support::*;
use ww_membrane::policies::Bytes;
use ww_membrane::{Call, Calls, Membrane, Methods, Policy, Verdict};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{executor, host, process};

/// Notes the methods of all calls.
#[derive(Clone, Default)]
struct Heard(Rc<RefCell<Vec<(bool, u64, u16)>>>);

impl Policy for Heard {
    fn inbound(&self, call: &Call) -> Verdict {
        self.0
            .borrow_mut()
            .push((true, call.interface(), call.method()));
        Verdict::pass()
    }

    fn outbound(&self, call: &Call) -> Verdict {
        self.0
            .borrow_mut()
            .push((false, call.interface(), call.method()));
        Verdict::pass()
    }
}

/// What is inside, as far as it is known.
#[derive(Clone, Copy, Debug)]
enum Inside {
    Object,
    Promise,
    Resolved,
}

#[test]
fn every_call_is_judged_and_every_answer_wrapped() {
    for transport in TRANSPORTS {
        for inside in [Inside::Object, Inside::Promise, Inside::Resolved] {
            let case = format!("{transport:?}, {inside:?}");
            let object = peer(&Seen::default());
            let (resolve, resolution) = oneshot::channel();
            let given = match inside {
                Inside::Object => object.clone(),
                Inside::Promise => capnp_rpc::new_future_client(async {
                    resolution
                        .await
                        .map_err(|_| Error::failed("dropped".into()))
                }),
                Inside::Resolved => {
                    let promise: host::Client =
                        capnp_rpc::new_future_client(ready(Ok(object.clone())));
                    block_on(id(&promise)).unwrap();
                    promise
                }
            };
            let heard = Heard::default();
            let membrane = Membrane::policed(heard.clone());
            let by_hand = membrane.clone();
            over(transport, &membrane, given, |host| async move {
                let mut early = host.id_request().send().promise;
                if let Inside::Promise = inside {
                    for _ in 0..10 {
                        assert!(poll_once(&mut early).await.is_none(), "{case}");
                        yield_now().await;
                    }
                    let _ = resolve.send(object);
                }
                early.await.unwrap();
                let answer = host.executor_request().send().promise.await.unwrap();
                let executor = answer.get().unwrap().get_executor().unwrap();
                assert_eq!(echo(&executor, "hi").await.unwrap(), "Echo: hi", "{case}");
                let methods: Vec<_> = heard
                    .0
                    .borrow()
                    .iter()
                    .map(|call| (call.0, call.2))
                    .collect();
                assert_eq!(methods, [(true, 0), (true, 4), (true, 1)], "{case}");
                by_hand.revoke(Error::disconnected("fell".into()));
                for died in [
                    id(&host).await.map(|_| ()),
                    echo(&executor, "hi").await.map(|_| ()),
                ] {
                    assert_eq!(died.unwrap_err().kind, ErrorKind::Disconnected, "{case}");
                }
            });
        }
    }
}

/// Hands out a [`Keeper`], which keeps what it is given.
struct Hub(program::Client);

impl executor::Server for Hub {
    async fn compile(
        self: Rc<Self>,
        _: executor::CompileParams,
        mut results: executor::CompileResults,
    ) -> Result<(), Error> {
        results.get().set_program(self.0.clone());
        Ok(())
    }
}

fn hook_of(client: &impl FromClientHook) -> (usize, usize) {
    let mut hook = client.as_client_hook().add_ref();
    while let Some(next) = hook.get_resolved() {
        hook = next;
    }
    (hook.get_brand(), hook.get_ptr())
}

async fn compiled(hub: &executor::Client) -> program::Client {
    let answer = hub.compile_request().send().promise.await.unwrap();
    answer.get().unwrap().get_program().unwrap()
}

async fn spawn(keeper: &program::Client, bootstrap: &impl FromClientHook) -> process::Client {
    let mut request = keeper.spawn_request();
    let hook = bootstrap.as_client_hook().add_ref();
    request.get().init_bootstrap().set_as_capability(hook);
    let answer = request.send().promise.await.unwrap();
    answer.get().unwrap().get_process().unwrap()
}

#[test]
fn an_inside_object_that_comes_back_is_the_original() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let hub: executor::Client = capnp_rpc::new_client(Hub(keeper.clone()));
        over(transport, &Membrane::ungated(), hub, |hub| async move {
            let program = compiled(&hub).await;
            spawn(&program, &program).await;
            let kept = seen.callback.borrow().clone().unwrap();
            assert_eq!(hook_of(&kept), hook_of(&keeper), "{transport:?}");
        });
    }
}

#[test]
fn a_promise_that_resolves_to_the_other_side_is_unwrapped() {
    for transport in TRANSPORTS {
        let case = format!("{transport:?}");
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let hub: executor::Client = capnp_rpc::new_client(Hub(keeper.clone()));
        let membrane = Membrane::ungated();
        over(transport, &membrane, hub, |hub| async move {
            // One of the outside's own, of what turns out to be inside.
            let program = compiled(&hub).await;
            let (resolve, resolution) = oneshot::channel();
            let promise: program::Client = capnp_rpc::new_future_client(async {
                resolution
                    .await
                    .map_err(|_| Error::failed("dropped".into()))
            });
            spawn(&program, &promise).await;
            let kept = seen.callback.borrow().clone().unwrap();
            let _ = resolve.send(program.clone());
            let resolved = kept.client.when_resolved();
            zip(async { resolved.await.unwrap() }, async {
                promise.client.when_resolved().await.unwrap();
            })
            .await;
            assert_eq!(hook_of(&kept), hook_of(&keeper), "{case}");
        });
    }
}

/// Notes what it is told, in order.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl executor::Server for Notes {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        _: executor::EchoResults,
    ) -> Result<(), Error> {
        let message = params.get()?.get_message()?.to_string()?;
        self.0.borrow_mut().push(message);
        Ok(())
    }
}

/// Answers with a promise of what it is given, which it keeps when told to.
struct Later(RefCell<Option<oneshot::Receiver<()>>>);

struct Given(RefCell<Option<(Client, oneshot::Receiver<()>)>>);

impl program::Server for Later {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let given: Client = params.get()?.get_bootstrap().get_as_capability()?;
        let given = Given(RefCell::new(self.0.take().map(|told| (given, told))));
        results.get().set_process(capnp_rpc::new_client(given));
        Ok(())
    }
}

impl process::Server for Given {
    async fn bootstrap(
        self: Rc<Self>,
        _: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Result<(), Error> {
        let given = self.0.take();
        let promise: Client = capnp_rpc::new_future_client(async move {
            let (given, told) = given.ok_or_else(|| Error::failed("given already".into()))?;
            let _ = told.await;
            Ok(given)
        });
        results.get().init_cap().set_as_capability(promise.hook);
        Ok(())
    }
}

#[test]
fn calls_keep_their_order_while_a_promise_resolves_to_the_callers_own() {
    for transport in TRANSPORTS {
        for pipelined in [false, true] {
            for revoked in [false, true] {
                let case = format!("{transport:?}, pipelined: {pipelined}, revoked: {revoked}");
                let (resolve, resolved) = oneshot::channel();
                let later = Later(RefCell::new(Some(resolved)));
                let later: program::Client = capnp_rpc::new_client(later);
                let membrane = Membrane::ungated();
                let by_hand = membrane.clone();
                over(transport, &membrane, later, |later| async move {
                    let notes = Notes::default();
                    let own: executor::Client = capnp_rpc::new_client(notes.clone());
                    let process = spawn(&later, &own).await;
                    let sent = process.bootstrap_request().send();
                    let promise: executor::Client = if pipelined {
                        let early = sent.pipeline.get_cap().as_cap();
                        FromClientHook::new(early)
                    } else {
                        let answer = sent.promise.await.unwrap();
                        answer.get().unwrap().get_cap().get_as_capability().unwrap()
                    };
                    let mut calls = Vec::new();
                    let mut resolve = Some(resolve);
                    for count in 0..60 {
                        let mut request = promise.echo_request();
                        request.get().set_message(count.to_string());
                        calls.push(maybe_done(request.send().promise));
                        if count == 20
                            && let Some(resolve) = resolve.take()
                        {
                            let _ = resolve.send(());
                        }
                        if count == 30 && revoked {
                            by_hand.revoke(Error::disconnected("fell".into()));
                        }
                        if count % 3 == 0 {
                            for call in &mut calls {
                                let _ = poll_once(call).await;
                            }
                            yield_now().await;
                        }
                    }
                    // All that is under way comes to an end.
                    for call in &mut calls {
                        (&mut *call).await;
                        let ended = Pin::new(call).take_output().unwrap();
                        assert!(revoked || ended.is_ok(), "{case}: {:?}", ended.err());
                    }
                    let told: Vec<usize> = notes
                        .0
                        .borrow()
                        .iter()
                        .map(|told| told.parse().unwrap())
                        .collect();
                    assert!(told.is_sorted(), "{case}: {told:?}");
                    assert!(revoked || told.len() == 60, "{case}: {told:?}");
                    // The connection is alive: what is the caller's own is.
                    if revoked {
                        let error = echo(&process.clone().cast_to(), "hi").await.unwrap_err();
                        assert!(error.extra.contains("fell"), "{case}: {error}");
                    } else {
                        assert!(echo(&promise, "last").await.is_ok(), "{case}");
                    }
                });
            }
        }
    }
}

/// Answers with what it was last given.
#[derive(Default)]
struct GivesBack(RefCell<Option<process::Client>>);

impl program::Server for GivesBack {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        if params.has_bootstrap() {
            let given = params.get_bootstrap().get_as_capability()?;
            self.0.replace(Some(given));
        }
        let kept = self.0.borrow().clone();
        results
            .get()
            .set_process(kept.ok_or_else(|| Error::failed("nothing given".into()))?);
        Ok(())
    }
}

#[test]
fn calls_keep_their_order_while_an_answer_turns_out_to_come_from_here() {
    // The membrane forwards what is pipelined, to where its results are not.
    for (membranes, own) in [(1, false), (1, true), (2, false), (2, true)] {
        for steps in 0..6 {
            let case = format!("{membranes} membranes, {steps} steps, the caller's own: {own}");
            let net = &mut Net::default();
            let notes = Notes::default();
            let given: executor::Client = capnp_rpc::new_client(notes.clone());
            let import = net.connect(capnp_rpc::new_client(GivesBack::default()));
            if !own {
                net.hops(spawn(&import, &given));
            }
            let methods = || Methods::new().method(program::Client::spawn_request);
            let wrapped = (0..membranes).fold(import, |inside, _| {
                Membrane::policed(methods()).wrap::<program::Client>(inside)
            });
            let outside = net.connect(wrapped);
            net.settle();

            let mut request = outside.spawn_request();
            if own {
                let hook = given.as_client_hook().add_ref();
                request.get().init_bootstrap().set_as_capability(hook);
            }
            let sent = request.send();
            let promise: executor::Client = sent.pipeline.get_process().cast_to();
            let say = |number: usize| {
                let mut request = promise.echo_request();
                request.get().set_message(number.to_string());
                request.send().promise
            };
            for _ in 0..steps {
                net.step();
            }
            let early = (0..3).map(say).collect::<Vec<_>>();
            net.hops(sent.promise).0.unwrap();
            let late = (3..6).map(say).collect::<Vec<_>>();
            net.hops(try_join_all(early.into_iter().chain(late)))
                .0
                .unwrap();
            assert_eq!(*notes.0.borrow(), ["0", "1", "2", "3", "4", "5"], "{case}");
            // In the end they go there at once.
            net.settle();
            let (told, hops) = net.hops(echo(&promise, "6"));
            told.unwrap();
            assert_eq!(hops, if own { 0 } else { 2 }, "{case}");
        }
    }
}

#[test]
fn a_call_that_waits_for_a_promise_may_carry_that_promise() {
    // The first call of all is another matter than those after it, and so is one
    // that carries nothing.
    let cases = TRANSPORTS.map(|transport| [(transport, false), (transport, true)]);
    for (transport, called) in cases.into_iter().flatten() {
        let case = format!("{transport:?}, called before: {called}");
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        // Behind another membrane, so that the call crosses where it is passed on.
        let keeper = Membrane::ungated().wrap(keeper);
        let (resolve, resolution) = oneshot::channel();
        let promise: program::Client = capnp_rpc::new_future_client(async {
            resolution
                .await
                .map_err(|_| Error::failed("dropped".into()))
        });
        let hub: executor::Client = capnp_rpc::new_client(Hub(promise));
        over(transport, &Membrane::ungated(), hub, |hub| async move {
            if called {
                assert!(keeper.spawn_request().send().promise.await.is_err());
            }
            let promise = compiled(&hub).await;
            let mut request = promise.spawn_request();
            let hook = promise.client.hook.add_ref();
            request.get().init_bootstrap().set_as_capability(hook);
            let mut call = request.send().promise;
            let mut bare = promise.spawn_request().send().promise;
            for _ in 0..10 {
                assert!(poll_once(&mut call).await.is_none(), "{case}");
                assert!(poll_once(&mut bare).await.is_none(), "{case}");
                yield_now().await;
            }
            let _ = resolve.send(keeper);
            call.await.unwrap();
            assert!(seen.callback.borrow().is_some(), "{case}");
            assert!(bare.await.is_err(), "{case}");
        });
    }
}

/// Notes of each call whether it carries something.
#[derive(Clone, Default)]
struct Carried(Rc<RefCell<Vec<bool>>>);

impl program::Server for Carried {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        _: program::SpawnResults,
    ) -> Result<(), Error> {
        let carries = !params.get()?.get_bootstrap().is_null();
        self.0.borrow_mut().push(carries);
        Ok(())
    }
}

#[test]
fn a_call_that_carries_nothing_does_not_overtake_one_that_does() {
    let heard = Carried::default();
    let inside: program::Client = capnp_rpc::new_client(heard.clone());
    connected(inside, |remote| async move {
        // No promise, and not behind a connection by its looks: yet it sends calls
        // when they are made.
        let connect = move || Ok(remote.clone());
        let (inside, _): (program::Client, _) = capnp_rpc::auto_reconnect(connect).unwrap();
        let wrapper = Membrane::ungated().wrap(inside);
        wrapper.spawn_request().send().promise.await.unwrap();

        let (resolve, resolution) = oneshot::channel();
        let promise: program::Client = capnp_rpc::new_future_client(async {
            resolution
                .await
                .map_err(|_| Error::failed("dropped".into()))
        });
        let carrying = [true, false, true, false, false, true];
        let mut calls = Vec::new();
        for carries in carrying {
            let mut request = promise.spawn_request();
            if carries {
                let carried = named(b"carried").client.hook;
                request.get().init_bootstrap().set_as_capability(carried);
            }
            calls.push(request.send().promise);
        }
        let _ = resolve.send(wrapper);
        // Whichever is polled first.
        for call in calls.into_iter().rev() {
            call.await.unwrap();
        }
        assert_eq!(heard.0.borrow()[1..], carrying);
    });
}

#[test]
fn waiting_for_the_wrapper_of_a_resolved_promise_ends() {
    for transport in [Transport::Local, Transport::Imported] {
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        over(
            transport,
            &Membrane::ungated(),
            keeper,
            |keeper| async move {
                let own = peer(&Seen::default());
                // A pipelined capability is a promise, which the answer resolves.
                let sent = keeper.spawn_request().send();
                let promise = sent.pipeline.get_process();
                sent.promise.await.err();
                let mut request = keeper.spawn_request();
                request
                    .get()
                    .init_bootstrap()
                    .set_as_capability(own.client.hook);
                let sent = request.send();
                let promised = sent.pipeline.get_process();
                let again = promised.clone();
                sent.promise.await.unwrap();
                for _ in 0..2 {
                    promised.client.when_resolved().await.unwrap();
                    again.client.when_resolved().await.unwrap();
                }
                drop(promise);
            },
        );
    }
}

#[test]
fn an_inside_that_waits_for_a_promise_it_was_handed_is_told_each_time() {
    // Behind a connection the inside has a promise of capnp-rpc's own.
    for transport in [Transport::Local, Transport::Exported] {
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        over(
            transport,
            &Membrane::ungated(),
            keeper,
            |keeper| async move {
                let (resolve, resolved) = oneshot::channel();
                let promise: host::Client = capnp_rpc::new_future_client(async {
                    resolved.await.map_err(|_| Error::failed("dropped".into()))
                });
                let mut request = keeper.spawn_request();
                let hook = promise.client.hook;
                request.get().init_bootstrap().set_as_capability(hook);
                request.send().promise.await.unwrap();
                let kept = seen.callback.borrow().clone().unwrap();
                let mut early = Box::pin(kept.client.when_resolved());
                for _ in 0..10 {
                    assert!(poll_once(&mut early).await.is_none(), "{transport:?}");
                    yield_now().await;
                }
                assert!(resolve.send(peer(&Seen::default())).is_ok());
                early.await.unwrap();
                for _ in 0..2 {
                    kept.client.when_resolved().await.unwrap();
                }
                assert_eq!(id(&kept).await.unwrap(), b"peer", "{transport:?}");
            },
        );
    }
}

/// Redirects calls from outside to another object, once a promise is resolved.
struct Redirect {
    target: host::Client,
    deadline: RefCell<Option<oneshot::Receiver<()>>>,
    asked: Cell<usize>,
}

impl Policy for Redirect {
    fn inbound(&self, call: &Call) -> Verdict {
        if call.method() != 0 {
            return Verdict::pass();
        }
        self.asked.set(self.asked.get() + 1);
        let deadline = self.deadline.take();
        Verdict::redirect_resolved(self.target.clone().client, async move {
            match deadline {
                Some(deadline) => drop(deadline.await),
                None => pending().await,
            }
        })
    }
}

/// How many calls of an interface were passed and denied, all that is held and
/// was held together.
fn counted(membrane: &Membrane, interface: u64) -> (u64, u64) {
    let authority = membrane.authority();
    let held = authority.held.iter().map(|held| &held.calls);
    let methods = |calls: &Calls| calls.methods.clone();
    let all = held.chain([&authority.past]).flat_map(methods);
    let of_it = all.filter(|known| known.call.interface() == interface);
    of_it.fold((0, 0), |(passed, denied), known| {
        (passed + known.passed, denied + known.denied)
    })
}

/// Answers `id` with what it is.
struct Named(&'static [u8]);

impl host::Server for Named {
    async fn id(
        self: Rc<Self>,
        _: host::IdParams,
        mut results: host::IdResults,
    ) -> Result<(), Error> {
        results.get().set_peer_id(self.0);
        Ok(())
    }
}

fn named(name: &'static [u8]) -> host::Client {
    capnp_rpc::new_client(Named(name))
}

#[derive(Clone, Copy, Debug)]
enum Becomes {
    Inside,
    CallersOwn,
    Broken,
    Nothing,
}

#[test]
fn a_redirect_may_wait_for_a_promise_with_a_deadline() {
    for transport in TRANSPORTS {
        for (becomes, expected) in [
            (Becomes::Inside, Ok(b"elsewhere")),
            (Becomes::CallersOwn, Ok(b"outside__")),
            (Becomes::Broken, Ok(b"elsewhere")),
            (Becomes::Nothing, Err(ErrorKind::Overloaded)),
        ] {
            let case = format!("{transport:?}, {becomes:?}");
            if let (Transport::Imported, Becomes::CallersOwn) = (transport, becomes) {
                // It has not come in over the connection, so it is not known.
                continue;
            }
            let (over_now, deadline) = oneshot::channel();
            let redirect = Rc::new(Redirect {
                target: named(b"elsewhere"),
                deadline: RefCell::new(Some(deadline)),
                asked: Cell::new(0),
            });
            let budget = Bytes::new(10_000);
            let membrane = Membrane::policed((redirect.clone(), budget.clone()));
            let view = membrane.clone();
            let outside = membrane.wrap_reverse(named(b"outside__"));
            let (resolve, resolution) = oneshot::channel();
            let promise: host::Client = capnp_rpc::new_future_client(async {
                match resolution.await {
                    Ok(resolution) => resolution,
                    Err(_) => pending().await,
                }
            });
            // A bootstrap capability never resolves, so it is not one.
            let hub: executor::Client = capnp_rpc::new_client(Hub(promise.cast_to()));
            over(transport, &membrane, hub, |hub| async move {
                let host: host::Client = compiled(&hub).await.cast_to();
                let before = budget.left();
                let mut first = host.id_request().send().promise;
                let mut second = host.id_request().send().promise;
                while redirect.asked.get() < 2 {
                    let _ = poll_once(&mut first).await;
                    let _ = poll_once(&mut second).await;
                    yield_now().await;
                }
                for _ in 0..10 {
                    assert!(poll_once(&mut first).await.is_none(), "{case}");
                    yield_now().await;
                }
                let _ = match becomes {
                    Becomes::Inside => resolve.send(Ok(named(b"inside"))).map_err(drop),
                    Becomes::CallersOwn => resolve.send(Ok(outside)).map_err(drop),
                    Becomes::Broken => resolve
                        .send(Err(Error::unimplemented("broken".into())))
                        .map_err(drop),
                    Becomes::Nothing => over_now.send(()),
                };
                for call in [first, second] {
                    let answer = call.await;
                    let answer =
                        answer.and_then(|answer| Ok(answer.get()?.get_peer_id()?.to_vec()));
                    match expected {
                        Ok(name) => assert_eq!(answer.unwrap(), name, "{case}"),
                        Err(kind) => assert_eq!(answer.unwrap_err().kind, kind, "{case}"),
                    }
                }
                // Two calls without parameters, answered with nine bytes, where
                // they crossed.
                let crossed = match becomes {
                    Becomes::Inside | Becomes::Broken => 2 * (8 + 8 + 8 + 16),
                    Becomes::CallersOwn | Becomes::Nothing => 0,
                };
                assert_eq!(before - budget.left(), crossed, "{case}");
                // They count once, wherever they went.
                assert_eq!(counted(&view, host::Client::TYPE_ID), (2, 0), "{case}");
            });
        }
    }
}

#[test]
fn a_call_does_not_have_the_deadline_of_one_that_nobody_waits_for() {
    for transport in TRANSPORTS {
        let (over_now, deadline) = oneshot::channel();
        let redirect = Rc::new(Redirect {
            target: named(b"elsewhere"),
            deadline: RefCell::new(Some(deadline)),
            asked: Cell::new(0),
        });
        let membrane = Membrane::policed(redirect.clone());
        let (resolve, resolution) = oneshot::channel();
        let promise: host::Client = capnp_rpc::new_future_client(async {
            resolution
                .await
                .map_err(|_| Error::failed("dropped".into()))
        });
        let hub: executor::Client = capnp_rpc::new_client(Hub(promise.cast_to()));
        over(transport, &membrane, hub, |hub| async move {
            let host: host::Client = compiled(&hub).await.cast_to();
            let waits = async |asked| {
                let mut call = host.id_request().send();
                while redirect.asked.get() < asked {
                    let _ = poll_once(&mut call.promise).await;
                    yield_now().await;
                }
                for _ in 0..20 {
                    yield_now().await;
                }
                call
            };
            drop(waits(1).await);
            for _ in 0..20 {
                yield_now().await;
            }
            drop(over_now);
            let mut call = waits(2).await;
            assert!(
                poll_once(&mut call.promise).await.is_none(),
                "{transport:?}"
            );
            let _ = resolve.send(named(b"inside"));
            let answer = call.promise.await.unwrap();
            let name = answer.get().unwrap().get_peer_id().unwrap();
            assert_eq!(name, b"elsewhere", "{transport:?}");
        });
    }
}

#[test]
fn revoking_ends_redirected_calls_that_wait() {
    for transport in TRANSPORTS {
        let redirect = Rc::new(Redirect {
            target: named(b"elsewhere"),
            deadline: RefCell::default(),
            asked: Cell::new(0),
        });
        let membrane = Membrane::policed(redirect.clone());
        let by_hand = membrane.clone();
        let promise: host::Client = capnp_rpc::new_future_client(pending());
        over(transport, &membrane, promise, |host| async move {
            let mut call = host.id_request().send().promise;
            while redirect.asked.get() < 1 {
                let _ = poll_once(&mut call).await;
                yield_now().await;
            }
            by_hand.revoke(Error::disconnected("fell".into()));
            let error = call.await.err().unwrap();
            assert!(error.extra.contains("fell"), "{transport:?}: {error}");
        });
    }
}

thread_local! {
    /// What is done once when an [`Eager`] waker is woken.
    static WOKEN: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that does at once what others leave for later.
struct Eager;

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        if let Some(woken) = WOKEN.take() {
            woken();
        }
    }
}

#[test]
fn who_is_woken_because_an_answer_is_shared_may_share_it() {
    let host: host::Client = Membrane::ungated().wrap(capnp_rpc::new_client(Silent::default()));
    let RemotePromise {
        mut promise,
        pipeline,
    } = host.executor_request().send();
    let waker = Waker::from(Arc::new(Eager));
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut promise).poll(&mut cx).is_pending());
    let pipeline = Rc::new(pipeline);
    let shared = Rc::new(Cell::new(false));
    let (again, noted) = (pipeline.clone(), shared.clone());
    WOKEN.set(Some(Box::new(move || {
        let _executor = again.get_executor();
        noted.set(true);
    })));
    let _executor = pipeline.get_executor();
    assert!(shared.get());
}

/// Never answers, and holds this as long as anybody waits.
#[derive(Default)]
struct Silent(Rc<()>);

impl host::Server for Silent {
    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        _: host::ExecutorResults,
    ) -> Result<(), Error> {
        let _held = self.0.clone();
        pending().await
    }
}

#[test]
fn who_waits_for_a_promised_capability_hears_of_the_fall() {
    let membrane = Membrane::ungated();
    let host: host::Client = membrane.wrap(capnp_rpc::new_client(Silent::default()));
    let sent = host.executor_request().send();
    let promised = sent.pipeline.get_executor();
    let woken = Rc::new(Cell::new(false));
    let noted = woken.clone();
    WOKEN.set(Some(Box::new(move || noted.set(true))));
    let waker = Waker::from(Arc::new(Eager));
    let mut cx = Context::from_waker(&waker);
    let mut waiting = promised.client.hook.when_resolved();
    assert!(Pin::new(&mut waiting).poll(&mut cx).is_pending());
    assert!(!woken.get());
    membrane.revoke(Error::disconnected("enough".into()));
    assert!(woken.get());
    assert!(Pin::new(&mut waiting).poll(&mut cx).is_ready());
    let called = block_on(promised.echo_request().send().promise);
    assert!(called.err().unwrap().extra.contains("enough"));
    drop(sent.promise);
}

#[test]
fn who_is_woken_by_the_fall_finds_all_released() {
    let membrane = Membrane::ungated();
    let silent = Silent::default();
    let held = silent.0.clone();
    let host: host::Client = membrane.wrap(capnp_rpc::new_client(silent));
    let mut calls = [(); 3].map(|()| host.executor_request().send().promise);
    let waker = Waker::from(Arc::new(Eager));
    for call in &mut calls {
        let polled = Pin::new(call).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    assert_eq!(Rc::strong_count(&held), 5);
    let left = Rc::new(Cell::new(usize::MAX));
    let noted = left.clone();
    let watched = held.clone();
    WOKEN.set(Some(Box::new(move || {
        noted.set(Rc::strong_count(&watched));
    })));
    membrane.revoke(Error::disconnected("enough".into()));
    // The test's own two.
    assert_eq!(left.get(), 2);
}

/// Answers with what it has been given meanwhile.
#[derive(Default)]
struct Mailbox(RefCell<Option<executor::Client>>);

impl host::Server for Mailbox {
    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), Error> {
        while self.0.borrow().is_none() {
            yield_now().await;
        }
        if let Some(given) = self.0.take() {
            results.get().set_executor(given);
        }
        Ok(())
    }
}

#[test]
fn an_answer_that_is_its_own_promise_is_gone_when_its_membrane_falls() {
    let heard = Heard::default();
    let membrane = Membrane::policed(heard.clone());
    let mailbox = Rc::new(Mailbox::default());
    let host: host::Client = capnp_rpc::new_client_from_rc(mailbox.clone());
    let host = membrane.wrap(host);
    let sent = host.executor_request().send();
    let inward: executor::Client = membrane.wrap_reverse(sent.pipeline.get_executor());
    mailbox.0.replace(Some(inward));
    let answer = block_on(sent.promise).unwrap();
    drop((sent.pipeline, answer, host, mailbox));
    membrane.revoke(Error::disconnected("enough".into()));
    drop(membrane);
    assert_eq!(Rc::strong_count(&heard.0), 1, "something holds itself");
}
