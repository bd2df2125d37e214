//! Peers that would hang or break a host without a membrane: the host lives,
//! and whoever calls gets an error.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use capnp::capability::{Client, FromClientHook, RemotePromise};
use capnp::traits::HasTypeId;
use capnp::{Error, ErrorKind};
use capnp_rpc::rpc_capnp::{exception, message};
use futures_lite::future::{poll_once, yield_now};
use support::hostile::Hosted;
use support::said::*;
use support::*;
use ww_membrane::policies::{Audit, Bytes};
use ww_membrane::{Call, Membrane};
use ww_rpc::Limits;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{host, process};

fn untyped(client: &impl FromClientHook) -> Client {
    Client::new(client.as_client_hook().add_ref())
}

#[test]
fn promises_that_go_in_circles_are_broken_and_hang_nobody() {
    let cases = circles();
    // Our own vat ends a connection on which a promise resolves to itself, the
    // stock one leaves it to the membrane.
    let vats = [|inside| Hosted::new(Some(inside)), Hosted::stock];
    for (case, said, vat) in cases
        .iter()
        .flat_map(|(case, said)| vats.map(|vat| (*case, said, vat)))
    {
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let membrane = Membrane::ungated();
        let mut hosted = vat(untyped(&membrane.wrap(keeper)));
        hosted.say(bootstrap());
        for message in said {
            hosted.say(message.clone());
        }
        let kept = seen.callback.borrow().clone().expect(case);
        // Called, waited for, and handed on over another connection. Where the
        // circle had come apart, the peer never answers; that is its right.
        let called = hosted.settle(&mut Box::pin(id(&kept)));
        assert!(called.is_none_or(|called| called.is_err()), "{case}");
        let mut resolved = Box::pin(kept.client.when_resolved());
        let _ = hosted.settle(&mut resolved);
        let other = Seen::default();
        let to: program::Client = capnp_rpc::new_client(Keeper(other.clone()));
        connected(to, |to| async move {
            let mut request = to.spawn_request();
            request
                .get()
                .init_bootstrap()
                .set_as_capability(kept.client.hook);
            request.send().promise.await.unwrap();
            let far = other.callback.borrow().clone().unwrap();
            let mut called = Box::pin(id(&far));
            for _ in 0..20 {
                if let Some(called) = poll_once(&mut called).await {
                    assert!(called.is_err(), "{case}");
                    break;
                }
                yield_now().await;
            }
        });
        membrane.revoke(Error::disconnected("enough".into()));
    }
}

#[test]
fn a_request_whose_promise_has_resolved_since_goes_where_it_should() {
    for (case, resolved) in [("to itself", true), ("to the host's own", false)] {
        for carries in [false, true] {
            let case = format!("{case}, carries: {carries}");
            let seen = Seen::default();
            let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
            let mut hosted = Hosted::new(Some(untyped(&Membrane::ungated().wrap(keeper))));
            hosted.say(bootstrap());
            hosted.say(spawn(1, 1));
            let kept = seen.callback.borrow().clone().unwrap();
            let kept: program::Client = kept.cast_to();
            let mut request = kept.spawn_request();
            if carries {
                let hook = peer(&Seen::default()).client.hook;
                request.get().init_bootstrap().set_as_capability(hook);
            }
            hosted.say(if resolved {
                to_promise(1, 1)
            } else {
                // The process that the host answered with.
                to_answer(1, 1)
            });
            let sent = hosted.settle(&mut request.send().promise);
            assert!(sent.expect(&case).is_err(), "{case}");
        }
    }
}

#[test]
fn a_call_that_is_its_own_answer_hangs_nobody() {
    // A call on what the peer was given back is one for the peer to answer.
    let ask = || call_on(3, 2, host::Client::TYPE_ID, 4);
    let settle = || resolves(1, |resolve| resolve.init_cap().set_sender_hosted(50));
    let cases = [
        ("given back as a promise", vec![ask()], None),
        ("given back as it is", vec![settle(), ask()], None),
        // The second export, of the promise, is shown to be the peer's.
        (
            "exported as a promise",
            vec![settle(), executor_of(3, 2)],
            Some("which it has to answer itself"),
        ),
    ];
    for (case, said, refused) in cases {
        let seen = Seen::default();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let membrane = Membrane::ungated();
        let mut hosted = Hosted::new(Some(untyped(&membrane.wrap(keeper))));
        hosted.say(bootstrap());
        hosted.say([spawn(1, 1), give_back(2, 1)].concat());
        for message in said {
            hosted.say(message);
        }
        let mut asked = Vec::new();
        hosted.heard(|message| {
            if let Ok(message::Call(Ok(call))) = message.which() {
                asked.push(call.get_question_id());
            }
        });
        assert_eq!(asked, [0], "{case}: {:?}", hosted.ended);
        hosted.say(answer_answer(0, 3));
        let error = hosted.ended.take().map(|ended| ended.unwrap_err().extra);
        match refused {
            Some(refused) => assert!(error.unwrap().contains(refused), "{case}"),
            None => assert_eq!(error, None, "{case}"),
        }
    }
}

#[test]
fn a_long_reason_to_break_a_promise_is_cut() {
    let seen = Seen::default();
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let mut hosted = Hosted::new(Some(untyped(&Membrane::ungated().wrap(keeper))));
    hosted.say(bootstrap());
    hosted.say(spawn(1, 1));
    hosted.say(resolves(1, |resolve| {
        let mut exception = resolve.init_exception();
        exception.set_reason("Ä".repeat(100_000));
        exception.set_type(exception::Type::Overloaded);
    }));
    let kept = seen.callback.take().unwrap();
    let error = hosted
        .settle(&mut Box::pin(id(&kept)))
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.extra.contains("ÄÄÄ"), "{error}");
    assert!(error.extra.len() < 2_000, "{} bytes", error.extra.len());
}

#[test]
fn embargoes_that_the_peer_leaves_without_an_answer_are_bounded() {
    let seen = Seen::default();
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let mut limits = Limits::default();
    limits.exports = 10;
    let bootstrapped = Some(untyped(&Membrane::ungated().wrap(keeper)));
    let mut hosted = Hosted::limited(bootstrapped, limits);
    hosted.say(bootstrap());
    for promise in 1..=11 {
        assert!(hosted.ended.is_none(), "{promise}");
        hosted.say([spawn(1, promise), finish(1)].concat());
        // Called before it turns out to be the host's own.
        let kept = seen.callback.take().unwrap();
        let mut called = Box::pin(id(&kept));
        assert!(hosted.settle(&mut called).is_none());
        hosted.say(resolves(promise, |resolve| {
            resolve.init_cap().set_receiver_hosted(0);
        }));
    }
    let error = hosted.ended.unwrap().unwrap_err();
    assert!(error.extra.contains("sent back 11 embargoes"), "{error}");
}

#[test]
fn what_holds_itself_is_let_go_of_when_its_membrane_falls() {
    let cases = [
        (
            "a call that holds a promise of its answer",
            vec![addrs_with(1, 1), to_answer(1, 1), finish(1)],
        ),
        (
            "a promise of the answer that gives it back",
            vec![spawn(1, 1), give_back(2, 1), to_answer(1, 2)],
        ),
        (
            "two promises of the answers that give back the other",
            vec![
                [spawn(1, 1), give_back(2, 1), spawn(3, 2), give_back(4, 3)].concat(),
                [to_answer(1, 4), to_answer(2, 2)].concat(),
            ],
        ),
        (
            "two calls that wait for one another",
            vec![
                [spawn(1, 1), give_back(2, 1)].concat(),
                // One that the peer has to answer, on its own promise.
                call_on(3, 2, host::Client::TYPE_ID, 4),
                [call_on(4, 3, host::Client::TYPE_ID, 4), call_on(5, 4, 0, 0)].concat(),
                answer_answer(0, 5),
            ],
        ),
    ];
    for (case, said) in cases {
        let seen = Seen::default();
        // The membrane holds it, and what holds the membrane does.
        let token = Rc::new(());
        let noted = token.clone();
        let note = move |_: &Call| drop(noted.clone());
        let membrane = Membrane::policed(Audit::new(note));
        let inside: Client = match case.starts_with("a call") {
            true => untyped(&peer(&seen)),
            false => untyped(&capnp_rpc::new_client::<program::Client, _>(Keeper(
                seen.clone(),
            ))),
        };
        let mut hosted = Hosted::new(Some(membrane.wrap(inside)));
        hosted.say(bootstrap());
        for message in said {
            hosted.say(message);
        }
        assert!(hosted.ended.is_none(), "{case}: {:?}", hosted.ended);
        seen.callback.take();
        drop(hosted);
        membrane.revoke(Error::disconnected("the connection has ended".into()));
        drop(membrane);
        assert_eq!(seen.holders(), 1, "{case}");
        assert_eq!(Rc::strong_count(&token), 1, "{case}");
    }
}

type Sent = Rc<RefCell<Option<RemotePromise<program::spawn_results::Owned>>>>;

/// Says farewell to a peer when it is dropped, with a capability of its own.
struct Farewell {
    whom: program::Client,
    sent: Sent,
}

impl process::Server for Farewell {}

impl Drop for Farewell {
    fn drop(&mut self) {
        let mut request = self.whom.spawn_request();
        let hook = peer(&Seen::default()).client.hook;
        request.get().init_bootstrap().set_as_capability(hook);
        self.sent.replace(Some(request.send()));
    }
}

/// Answers with a farewell to the program that it is handed.
struct Parting(Sent);

impl program::Server for Parting {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let farewell = Farewell {
            whom: params.get()?.get_bootstrap().get_as_capability()?,
            sent: self.0.clone(),
        };
        results.get().set_process(capnp_rpc::new_client(farewell));
        Ok(())
    }
}

#[test]
fn a_server_may_call_the_peer_that_lets_go_of_it() {
    // Export 0 is the bootstrap, and what is finished is released with its answer.
    let ways = [vec![finish(1)], vec![keep_and_finish(1), release(1)]];
    for (way, said) in ways.into_iter().enumerate() {
        let sent = Sent::default();
        let parting: program::Client = capnp_rpc::new_client(Parting(sent.clone()));
        let mut hosted = Hosted::new(Some(untyped(&Membrane::ungated().wrap(parting))));
        hosted.say(bootstrap());
        hosted.say(spawn(1, 1));
        assert!(sent.borrow().is_none());
        hosted.heard(|_| ());
        hosted.say(said.concat());
        let mut farewell = sent.take().expect("it was dropped").promise;
        assert!(hosted.settle(&mut farewell).is_none(), "way {way}");
        let mut farewells = 0;
        hosted.heard(|said| {
            farewells += u32::from(matches!(said.which(), Ok(message::Call(_))));
        });
        assert_eq!(farewells, 1, "way {way}");
        assert!(hosted.ended.is_none(), "{:?}", hosted.ended);
    }
}

/// Far more links than a thread's stack has room for.
const LINKS: u32 = 10_000;

/// Answers with a process behind a membrane that says farewell to the program that
/// it is handed once nobody holds it.
struct Lending(Sent);

impl process::Server for Lending {}

impl program::Server for Lending {
    async fn spawn(
        self: Rc<Self>,
        params: program::SpawnParams,
        mut results: program::SpawnResults,
    ) -> Result<(), Error> {
        let farewell = Farewell {
            whom: params.get()?.get_bootstrap().get_as_capability()?,
            sent: self.0.clone(),
        };
        let membrane = Membrane::ungated();
        membrane.when_empty(move || drop(farewell));
        let lent = capnp_rpc::new_client_from_rc(self);
        results
            .get()
            .set_process(membrane.wrap::<process::Client>(lent));
        Ok(())
    }
}

#[test]
fn who_is_told_that_nothing_is_held_may_call_the_peer_that_held_it() {
    let ways = [vec![finish(1)], vec![keep_and_finish(1), release(1)]];
    for (way, said) in ways.into_iter().enumerate() {
        let sent = Sent::default();
        let lending: program::Client = capnp_rpc::new_client(Lending(sent.clone()));
        let mut hosted = Hosted::new(Some(untyped(&lending)));
        hosted.say(bootstrap());
        hosted.say(spawn(1, 1));
        assert!(sent.borrow().is_none(), "way {way}");
        hosted.say(said.concat());
        let mut farewell = sent.take().expect("it was told").promise;
        assert!(hosted.settle(&mut farewell).is_none(), "way {way}");
        let mut farewells = 0;
        hosted.heard(|said| {
            farewells += u32::from(matches!(said.which(), Ok(message::Call(_))));
        });
        assert_eq!(farewells, 1, "way {way}");
        assert!(hosted.ended.is_none(), "way {way}");
    }
}

#[test]
fn promises_that_resolve_to_promises_without_end_end_the_connection() {
    let seen = Seen::default();
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let mut hosted = Hosted::new(Some(untyped(&Membrane::ungated().wrap(keeper))));
    hosted.say(bootstrap());
    hosted.say(spawn(1, 0));
    let mut links = 0..LINKS;
    while hosted.ended.is_none() {
        let link = links.next().expect("the connection lives on");
        hosted.say(to_promise(link % 2, (link + 1) % 2));
    }
    let error = hosted.ended.unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(links.start > 32, "{links:?}");
    drop(seen.callback.take());
}

#[test]
fn a_promise_that_resolves_to_itself_ends_the_connection_and_leaves_nothing() {
    let seen = Seen::default();
    // Without a membrane, which would have taken the circle apart.
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let mut hosted = Hosted::new(Some(untyped(&keeper)));
    hosted.say(bootstrap());
    hosted.say(spawn(1, 1));
    hosted.say(to_promise(1, 1));
    let error = hosted.ended.take().unwrap().unwrap_err();
    assert!(error.extra.contains("to itself"), "{error}");
    seen.callback.take();
    drop((hosted, keeper));
    assert_eq!(seen.holders(), 1);
}

#[test]
fn promises_that_resolve_to_answers_without_end_are_dropped_in_little_stack() {
    let seen = Seen::default();
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let membrane = Membrane::ungated();
    let mut hosted = Hosted::new(Some(untyped(&membrane.wrap(keeper))));
    hosted.say(bootstrap());
    hosted.say(spawn(1, 1));
    let first = seen.callback.borrow().clone().unwrap();
    for link in 1..LINKS {
        hosted.say([spawn(2, link + 1), give_back(3, 2)].concat());
        hosted.say([to_answer(link, 3), finish(3), finish(2)].concat());
    }
    assert!(hosted.ended.is_none(), "{:?}", hosted.ended);
    // Nor in ever more memory: from some link on, it is none.
    assert!(given_back(&mut hosted, LINKS + 1).contains("not resolved"));
    drop(first);
    assert_eq!(given_back(&mut hosted, LINKS + 2), "");
}

/// Has a promise given back, and answers with the error of a call on that.
fn given_back(hosted: &mut Hosted, promise: u32) -> String {
    hosted.say([spawn(2, promise), give_back(3, 2)].concat());
    hosted.heard(|_| ());
    hosted.say([id_of(4, 3), finish(2), finish(3), finish(4)].concat());
    let mut error = String::new();
    hosted.heard(|said| {
        if let Ok(message::Return(Ok(answer))) = said.which()
            && let Ok(capnp_rpc::rpc_capnp::return_::Exception(Ok(exception))) = answer.which()
        {
            error += exception.get_reason().unwrap().to_str().unwrap();
        }
    });
    error
}

async fn put(keeper: &program::Client, host: &host::Client) -> Result<process::Client, Error> {
    let mut request = keeper.spawn_request();
    let hook = host.as_client_hook().add_ref();
    request.get().init_bootstrap().set_as_capability(hook);
    request.send().promise.await?.get()?.get_process()
}

#[test]
fn a_capability_that_goes_round_through_two_membranes_is_broken_in_time() {
    // What goes in by one session and comes out by another, again and again,
    // would need ever more of the stack.
    let keeper: program::Client = capnp_rpc::new_client(Keeper(Seen::default()));
    let (one, other) = (Membrane::ungated(), Membrane::ungated());
    let (into, from) = (one.wrap(keeper.clone()), other.wrap(keeper));
    futures_lite::future::block_on(async {
        let mut round = peer(&Seen::default());
        let kept = put(&from, &round).await.unwrap();
        let mut lived = 0;
        for _ in 0..200 {
            put(&into, &round).await.unwrap();
            round = take(&kept).await;
            lived += usize::from(id(&round).await.is_ok());
        }
        assert!((10..64).contains(&lived), "{lived}");
        let error = id(&round).await.unwrap_err();
        assert!(error.extra.contains("as many membranes"), "{error}");
        assert!(one.held() < 64 && other.held() < 64);
        drop(round);
        let kept = put(&into, &peer(&Seen::default())).await.unwrap();
        assert_eq!(id(&take(&kept).await).await.unwrap(), b"peer");
    });
}

async fn take(process: &process::Client) -> host::Client {
    let kept = process.bootstrap_request().send().promise.await.unwrap();
    kept.get().unwrap().get_cap().get_as_capability().unwrap()
}

#[test]
fn a_million_pointers_to_one_descriptor_are_refused() {
    let seen = Seen::default();
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let mut hosted = Hosted::new(Some(untyped(&Membrane::ungated().wrap(keeper))));
    hosted.say(bootstrap());
    hosted.say(spawn_with_a_million(1));
    assert!(seen.callback.borrow().is_none());
    let mut refused = 0;
    hosted.heard(|message| {
        if let Ok(message::Return(Ok(answer))) = message.which()
            && let Ok(capnp_rpc::rpc_capnp::return_::Exception(Ok(exception))) = answer.which()
        {
            let reason = exception.get_reason().unwrap().to_str().unwrap();
            assert!(reason.contains("carries 1000000 capabilities"), "{reason}");
            refused += 1;
        }
    });
    assert_eq!(refused, 1);
    assert!(hosted.ended.is_none());
}

#[test]
fn a_message_that_is_far_larger_to_read_than_to_send_is_refused() {
    let seen = Seen::default();
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let budget = Bytes::new(1 << 30);
    let membrane = Membrane::policed(budget.clone());
    let mut hosted = Hosted::new(Some(untyped(&membrane.wrap(keeper))));
    hosted.say(bootstrap());
    hosted.heard(|_| ());
    hosted.say(spawn_with_one_600_times(1));
    assert_eq!(budget.left(), 1 << 30, "weighed, and copied");
    let mut refused = 0;
    hosted.heard(|message| {
        let Ok(message::Return(Ok(answer))) = message.which() else {
            return;
        };
        let why = answer.which().unwrap();
        refused += u32::from(matches!(why, capnp_rpc::rpc_capnp::return_::Exception(_)));
    });
    assert_eq!(refused, 1);
    assert!(hosted.ended.is_none());
}

#[test]
fn a_million_pointers_in_an_answer_are_refused() {
    let mut hosted = Hosted::new(None);
    let imported: host::Client = hosted.bootstrap();
    let outside = Membrane::ungated().wrap(imported);
    let call = outside.executor_request().send();
    let mut promise = call.promise;
    assert!(hosted.settle(&mut promise).is_none());
    // Question 0 was for the bootstrap.
    hosted.say(pointing(rpc(|message| {
        let mut answer = message.init_return();
        answer.set_answer_id(1);
        million(answer.init_results());
    })));
    let error = hosted.settle(&mut promise).unwrap().err().unwrap();
    assert!(
        error.extra.contains("carries 1000000 capabilities"),
        "{error}"
    );
}

#[test]
fn an_answer_without_the_capability_that_it_should_have_breaks_its_pipeline() {
    for waited in [false, true] {
        let mut hosted = Hosted::new(None);
        let imported: host::Client = hosted.bootstrap();
        let outside = Membrane::ungated().wrap(imported);
        let call = outside.executor_request().send();
        let mut promise = call.promise;
        assert!(hosted.settle(&mut promise).is_none());
        hosted.say(answer_nothing(1));
        if waited {
            hosted.settle(&mut promise).unwrap().unwrap();
        }
        let executor = call.pipeline.get_executor();
        let echoed = hosted.settle(&mut Box::pin(echo(&executor, "hi")));
        assert!(echoed.unwrap().is_err(), "waited: {waited}");
    }
}
