//! Calls that wait for one another by way of what a peer was given back: as few,
//! and as little of them, as others may.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use capnp::ErrorKind;
use capnp::capability::{Client, FromClientHook};
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::{cap_descriptor, exception, message, return_};
use support::hostile::Hosted;
use support::said::*;
use support::*;
use ww_membrane::{Admission, Epochs, Membrane, SessionContext, membrane};
use ww_rpc::Limits;
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{executor, peer_info};
use ww_rpc::stem_capnp::{membrane as wire, signer};

/// Far more links than a thread's stack has room for.
const LINKS: u32 = 3_000;

fn hosted(limits: Limits) -> (Hosted, Seen) {
    let seen = Seen::default();
    let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
    let inside = Client::new(Membrane::ungated().wrap(keeper).into_client_hook());
    let mut hosted = Hosted::limited(Some(inside), limits);
    hosted.say(bootstrap());
    (hosted, seen)
}

/// The id under which the peer is given back its promise `promise`.
fn given_back(hosted: &mut Hosted, promise: u32) -> u32 {
    hosted.heard(|_| ());
    hosted.say([spawn(1, promise), give_back(2, 1)].concat());
    let mut export = None;
    hosted.heard(|said| {
        if let Ok(message::Return(Ok(answer))) = said.which()
            && answer.get_answer_id() == 2
            && let Ok(return_::Results(Ok(results))) = answer.which()
            && let Ok(cap_descriptor::SenderPromise(id)) =
                results.get_cap_table().unwrap().get(0).which()
        {
            export = Some(id);
        }
    });
    hosted.say([finish(1), keep_and_finish(2)].concat());
    export.expect("it is given back")
}

/// Question `id`: `Executor.echo` of what the host has exported.
fn echo_of(id: u32, export: u32, text: &str) -> Vec<u8> {
    rpc(|message| {
        let mut call = message.init_call();
        call.set_question_id(id);
        call.set_interface_id(executor::Client::TYPE_ID);
        call.set_method_id(1);
        call.reborrow().init_target().set_imported_cap(export);
        let mut echo: executor::echo_params::Builder<'_> =
            call.init_params().get_content().init_as();
        echo.set_message(text);
    })
}

#[test]
fn calls_on_what_was_given_back_wait_for_as_few_as_they_may() {
    let (mut hosted, _seen) = hosted(Limits::default());
    let mut refused = 0;
    for link in 1..LINKS {
        let export = given_back(&mut hosted, link);
        let call = 10 + link;
        if link > 1 {
            hosted.say(to_answer(link, call - 1));
        }
        hosted.say(executor_of(call, export));
        assert!(hosted.ended.is_none(), "{link}: {:?}", hosted.ended);
        hosted.heard(|said| {
            if let Ok(message::Return(Ok(answer))) = said.which()
                && answer.get_answer_id() == call
                && let Ok(return_::Exception(Ok(error))) = answer.which()
            {
                let reason = error.get_reason().unwrap().to_str().unwrap();
                assert!(reason.contains("in a row"), "{link}: {reason}");
                assert_eq!(error.get_type(), Ok(exception::Type::Overloaded));
                refused = link;
            }
        });
        if refused > 0 {
            break;
        }
        if link > 1 {
            hosted.say(finish(call - 1));
        }
        hosted.say(release(export));
    }
    // Eight may be polled from within one another.
    assert!((2..10).contains(&refused), "{refused}");
}

#[test]
fn parameters_of_a_call_on_what_was_given_back_count_while_it_waits() {
    const WORDS: usize = 10_000;
    let mut limits = Limits::default();
    limits.call_words = WORDS;
    let (mut hosted, _seen) = hosted(limits);
    let export = given_back(&mut hosted, 1);
    // A call that the peer leaves unanswered, and what it answers.
    let unanswered = given_back(&mut hosted, 2);
    hosted.say(executor_of(3, unanswered));
    hosted.say(to_answer(1, 3));
    let text = "x".repeat(WORDS * 8 * 6 / 10);
    hosted.say(echo_of(4, export, &text));
    assert!(hosted.ended.is_none(), "{:?}", hosted.ended);
    hosted.say(echo_of(5, export, &text));
    let error = hosted.ended.expect("the connection lives on").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.extra.contains("words"), "{error}");
}

/// Question `id`: `Membrane.graft` of the bootstrap, with promise `promise`.
fn graft(id: u32, promise: u32) -> Vec<u8> {
    type Wire = wire::Client<peer_info::Owned>;
    rpc(|message| {
        let mut call = message.init_call();
        call.set_question_id(id);
        call.set_interface_id(Wire::TYPE_ID);
        let target = call.reborrow().init_target();
        target.init_promised_answer().set_question_id(0);
        promises(call.init_params(), promise, |content| {
            let mut params: wire::graft_params::Builder<'_, peer_info::Owned> = content.init_as();
            params.set_signer(signer::Client::new(stand_in()));
        });
    })
}

#[test]
fn grafts_whose_signers_are_their_own_answers_are_bounded() {
    let fill = |_: &SessionContext, _: peer_info::Builder<'_>| Ok(());
    let grafter: wire::Client<peer_info::Owned> =
        membrane(Epochs::new(epoch(1)), Admission::signed("ww.example"), fill);
    let mut limits = Limits::default();
    limits.calls = 10;
    let inside = Client::new(grafter.into_client_hook());
    let mut hosted = Hosted::limited(Some(inside), limits);
    hosted.say(bootstrap());
    for round in 1..=20 {
        hosted.say(graft(round, round));
        hosted.say(to_answer(round, round));
        let mut echoed = Vec::new();
        hosted.heard(|said| {
            if let Ok(message::Disembargo(Ok(embargo))) = said.which()
                && let Ok(capnp_rpc::rpc_capnp::disembargo::context::SenderLoopback(id)) =
                    embargo.get_context().which()
            {
                echoed.push(rpc(|message| {
                    let mut back = message.init_disembargo();
                    back.reborrow().init_context().set_receiver_loopback(id);
                    back.init_target().set_imported_cap(0);
                }));
            }
        });
        hosted.say([echoed.concat(), finish(round)].concat());
        if hosted.ended.is_some() {
            assert_eq!(round, 10);
            break;
        }
    }
    let error = hosted.ended.expect("the connection lives on").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.extra.contains("calls in flight"), "{error}");
}
