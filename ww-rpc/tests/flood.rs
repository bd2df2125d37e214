//! Peers that ask for more than they may: the connection ends, and what they
//! asked for goes with it. Ordinary use comes nowhere near.

mod support;

use std::cell::RefCell;
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use capnp::traits::HasTypeId;
use capnp::{ErrorKind, capability_list};
use capnp_rpc::rpc_capnp::{exception, return_};
use futures_lite::{AsyncRead, AsyncWriteExt, future};
use support::peer::{ECHO, HANGS, Served, bootstrap, call, call_with, finish, hangs, limits};
use support::shared::{nested, read, shared};
use support::{
    Log, Outcome, Slot, Wakes, echo, executor_of, pair, pair_within, rpc, serve_executor, settle,
    untyped,
};
use ww_rpc::peer_capnp::{executor, host, process};
use ww_rpc::{Limits, Side, Vat};

/// What a peer says of one id.
type Says = fn(u32) -> Vec<u8>;

#[test]
fn finished_calls_make_room() {
    let limits = limits(|limits| {
        limits.pipeline_depth = 2;
        limits.calls = 3;
        limits.call_words = 200;
    });
    let mut served = Served::new(limits);
    served.say([bootstrap(0), hangs(1), call(2, HANGS, 1, &[], "")].concat());
    assert!(served.lives());
    assert_eq!(served.log.alive(), 2);
    served.say([finish(2), finish(1)].concat());
    assert_eq!(served.log.alive(), 1, "cancelled");
    // The peer never gives an id to two calls of which one is unanswered.
    for id in (3..300).step_by(2) {
        served.say([hangs(id), call(id + 1, HANGS, id, &[], "")].concat());
        served.say([finish(id), finish(id + 1)].concat());
        assert!(served.lives(), "{id}");
    }
    assert_eq!(served.log.alive(), 1);
}

#[test]
fn answered_calls_make_room() {
    let mut served = Served::new(limits(|limits| {
        limits.calls = 2;
        limits.call_words = 100;
    }));
    served.say(bootstrap(0));
    for round in 0..1_000 {
        served.say(call(1, ECHO, 0, &[], "hello"));
        assert!(served.heard().ends_with(&[1]), "{round}");
    }
}

#[test]
fn of_calls_that_come_at_once_several_are_answered_in_a_poll_and_not_all() {
    const CALLS: u32 = 300;
    let mut served = Served::new(Limits::default());
    served.say(bootstrap(0));
    let calls: Vec<u8> = (1..=CALLS)
        .flat_map(|id| call(id, ECHO, 0, &[], ""))
        .collect();
    let to_vat = served.to_vat.as_mut().unwrap();
    future::block_on(to_vat.write_all(&calls)).unwrap();

    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    served.vat.poll(&mut Context::from_waker(&waker));
    let answered = served.log.echoed.borrow().len();
    assert!((8..64).contains(&answered), "{answered} at once");
    assert!(wakes.0.load(Ordering::Relaxed) > 0, "there is more to do");

    assert_eq!(served.heard(), (0..=CALLS).collect::<Vec<_>>());
}

#[test]
fn of_calls_with_many_capabilities_few_are_read_in_a_poll() {
    let promises: Vec<u32> = (0..100).collect();
    let mut served = Served::new(Limits::default());
    served.say(bootstrap(0));
    let calls: Vec<u8> = (1..=30)
        .flat_map(|id| call_with(id, ECHO, &promises))
        .collect();
    let to_vat = served.to_vat.as_mut().unwrap();
    future::block_on(to_vat.write_all(&calls)).unwrap();
    served.vat.poll(&mut Context::from_waker(Waker::noop()));
    let answered = served.log.echoed.borrow().len();
    assert!((1..=4).contains(&answered), "{answered} at once");
    assert!((100..=400).contains(&served.traffic.capabilities_in()));
    assert_eq!(served.heard().len(), 31);
    assert_eq!(served.traffic.capabilities_in(), 3000);
}

#[test]
fn capabilities_of_a_message_are_bounded() {
    let promises: Vec<u32> = (0..=10).collect();
    let mut served = Served::new(limits(|limits| limits.capabilities = 10));
    served.say(bootstrap(0));
    served.say(call_with(1, ECHO, &promises[1..]));
    assert!(served.lives());
    served.say(call_with(2, ECHO, &promises));
    served.assert_overloaded("a call", "11 capabilities, more than the limit of 10");

    let mut served = Served::new(limits(|limits| limits.capabilities = 10));
    served.say(rpc(|m| {
        m.init_return().init_results().init_cap_table(11);
    }));
    served.assert_overloaded("an answer", "11 capabilities, more than the limit of 10");
}

#[test]
fn an_answer_is_written_in_the_poll_that_makes_it() {
    let mut served = Served::new(Limits::default());
    served.say(bootstrap(0));
    let before = (served.traffic.messages_in(), served.traffic.bytes_out());
    let to_vat = served.to_vat.as_mut().unwrap();
    future::block_on(to_vat.write_all(&call(1, ECHO, 0, &[], ""))).unwrap();
    served.vat.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(served.traffic.messages_in(), before.0 + 1);
    assert!(served.traffic.bytes_out() > before.1);
}

#[test]
fn calls_in_flight_are_bounded() {
    let limits = limits(|limits| limits.calls = 10);
    let calls: [(&str, Says); 3] = [
        ("hanging", hangs),
        ("bootstraps", bootstrap),
        // An error is an answer to finish.
        ("unfinished", |id| call(id, 99, 0, &[], "")),
    ];
    for (name, call) in calls {
        let mut served = Served::new(limits);
        served.say(bootstrap(0));
        served.say((1..10).flat_map(call).collect());
        assert!(served.lives(), "{name}");
        served.say(call(10));
        served.assert_overloaded(name, "11 calls in flight, more than the limit of 10");
    }
}

#[test]
fn cancelled_calls_are_bounded_and_answered_ones_are_not_among_them() {
    let mut served = Served::new(limits(|limits| limits.cancelled_calls = 10));
    served.say(bootstrap(0));
    for id in 1..=10 {
        served.say([hangs(id), finish(id)].concat());
        served.say([call(11, ECHO, 0, &[], ""), finish(11)].concat());
        served.say([call(12, 99, 0, &[], "")].concat());
        served.say(finish(12));
    }
    assert!(served.lives());
    served.say([hangs(13), finish(13)].concat());
    served.assert_overloaded("cancelled", "cancelled 11 calls, more than the limit of 10");
}

/// Gives each caller an executor of its own.
struct Gives(Log);

impl host::Server for Gives {
    async fn executor(
        self: Rc<Self>,
        _params: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Outcome {
        results.get().set_executor(serve_executor(&self.0));
        Ok(())
    }
}

#[test]
fn capabilities_that_the_peer_holds_are_bounded() {
    let (from_server, to_client) = piper::pipe(1 << 10);
    let (from_client, to_server) = piper::pipe(1 << 10);
    let log = Log::default();
    let gives: host::Client = capnp_rpc::new_client(Gives(log.clone()));
    let gives = Some(untyped(gives));
    // The bootstrap is held by its answer.
    let limits = limits(|limits| limits.exports = 10);
    let mut client = Vat::new(from_server, to_server, Side::Client, None, limits);
    let server = Vat::new(from_client, to_client, Side::Server, gives, limits);
    let gives: host::Client = client.bootstrap();
    let (mut client, mut server) = (Slot::new(client), Slot::new(server));
    let mut give = || {
        let request = gives.executor_request().send().promise;
        let mut call = Slot::new(async move { request.await?.get()?.get_executor() });
        settle(|cx| {
            client.poll(cx);
            server.poll(cx);
            call.poll(cx);
        });
        call.output.expect("answered")
    };
    for round in 0..100 {
        drop(give().unwrap_or_else(|error| panic!("{round}: {error}")));
    }
    let held: Vec<_> = (0..10).map(|_| give().expect("given")).collect();
    let refused = give().err().expect("one too many");
    assert!(refused.extra.contains("holds 11 capabilities"), "{refused}");
    let ended = server
        .output
        .take()
        .expect("ended")
        .expect_err("overloaded");
    assert_eq!(ended.kind, ErrorKind::Overloaded, "{ended}");
    assert!(ended.extra.contains("holds 11 capabilities"), "{ended}");
    assert_eq!(log.alive(), 0, "something leaked");
    drop(held);
}

#[test]
fn calls_that_are_kept_running_by_others_count_after_their_finish() {
    let mut served = Served::new(limits(|limits| limits.calls = 10));
    served.say(bootstrap(0));
    for id in (1..).step_by(2) {
        // Nothing lets go of a call whose answer is a parameter elsewhere.
        served.say([hangs(id), call(id + 1, HANGS, 0, &[id], ""), finish(id)].concat());
        if !served.lives() {
            assert_eq!(id, 9);
            break;
        }
    }
    served.assert_overloaded("kept running", "11 calls in flight");
}

#[test]
fn words_of_calls_in_flight_are_bounded() {
    let text = "x".repeat(800);
    let words = call(1, HANGS, 0, &[], &text).len() / 8;
    // The answer to the bootstrap is open, and small.
    for (room, passes) in [(3 * words + 30, true), (3 * words - 1, false)] {
        let mut served = Served::new(limits(|limits| limits.call_words = room));
        served.say(bootstrap(0));
        let hang = |id| call(id, HANGS, 0, &[], &text);
        let answered = |id| call(id, ECHO, 0, &[], &text);
        served.say((1..=2).flat_map(hang).collect());
        served.say((3..=3).flat_map(answered).collect());
        assert_eq!(served.lives(), passes);
        if passes {
            served.say((4..=100).flat_map(answered).collect());
            assert!(served.lives(), "answered calls make room");
            served.say((101..=102).flat_map(hang).collect());
        }
        served.assert_overloaded("words", "words, more than the limit of");
    }
}

#[test]
fn capabilities_of_calls_in_flight_are_bounded() {
    let promises: Vec<u32> = (0..1_000).collect();
    let mut served = Served::new(limits(|limits| limits.call_words = 200_000));
    served.say(bootstrap(0));
    for id in 1..=100 {
        served.say(call_with(id, ECHO, &promises));
        assert!(served.lives(), "answered calls make room");
    }
    served.say(
        [201, 202]
            .map(|id| call_with(id, HANGS, &promises))
            .concat(),
    );
    assert!(served.lives());
    served.say(call_with(203, HANGS, &promises));
    served.assert_overloaded("capabilities", "words, more than the limit of 200000");
}

#[test]
fn parameters_count_as_much_as_their_copies_take() {
    let call = |id| {
        rpc(|m| {
            let mut call = m.init_call();
            call.set_question_id(id);
            call.set_interface_id(executor::Client::TYPE_ID);
            call.set_method_id(HANGS);
            let target = call.reborrow().init_target();
            target.init_promised_answer().set_question_id(0);
            let mut params = call.init_params();
            let table = params.reborrow().init_cap_table(1);
            table.get(0).set_sender_promise(id);
            nested(params.get_content(), 3);
        })
    };
    let mut served = Served::new(limits(|limits| limits.call_words = 40 * read(3)));
    served.say(bootstrap(0));
    served.say((1..=40).flat_map(call).collect());
    assert!(served.lives());
    let shared = |id| shared(call(id), 3);
    served.say((41..=70).flat_map(shared).collect());
    assert!(served.lives());
    served.say((71..=80).flat_map(shared).collect());
    served.assert_overloaded("copies", "words, more than the limit of 44400");
}

#[test]
fn capabilities_that_take_no_room_in_a_message_are_bounded() {
    let mut call = call_with(1, HANGS, &[]);
    // The tag of the empty table is last, and claims entries of no words.
    let tag = call.len() - 8;
    assert_eq!(call[tag..], [0, 0, 0, 0, 1, 0, 1, 0]);
    let claimed = 4_000_u64 << 2;
    call[tag..].copy_from_slice(&claimed.to_le_bytes());
    let mut served = Served::new(limits(|limits| limits.call_words = 200_000));
    served.say([bootstrap(0), call].concat());
    served.assert_overloaded("no room", "words, more than the limit of 200000");
}

#[test]
fn mentions_of_answers_that_are_not_there_are_bounded() {
    for (mentioned, bounded) in [(HANGS, true), (ECHO, false)] {
        let mut served = Served::new(limits(|limits| limits.call_words = 50_000));
        served.say([bootstrap(0), call(1, mentioned, 0, &[], "")].concat());
        for _ in 0..20 {
            served.say(call(2, ECHO, 0, &[1; 100], ""));
        }
        assert_eq!(served.lives(), !bounded, "{mentioned}");
        if bounded {
            served.assert_overloaded("mentions", "words, more than the limit of 50000");
        }
    }
    // What was finished with is pipelined on no more, but kept as long as it
    // was before.
    let mut served = Served::new(limits(|limits| limits.call_words = 50_000));
    served.say(bootstrap(0));
    for id in 1..20 {
        served.say(
            [
                hangs(2 * id),
                call(2 * id + 1, HANGS, 0, &[2 * id; 100], ""),
            ]
            .concat(),
        );
        served.say([finish(2 * id), finish(2 * id + 1)].concat());
    }
    served.assert_overloaded("finished", "words, more than the limit of 50000");
}

#[test]
fn mentions_in_answers_are_bounded() {
    let answer = |path| {
        rpc(|m| {
            let mut answer = m.init_return();
            answer.set_answer_id(1);
            let mut table = answer.init_results().init_cap_table(100);
            for index in 0..100 {
                let mut entry = table.reborrow().get(index).init_receiver_answer();
                entry.set_question_id(1);
                entry.init_transform(path);
            }
        })
    };
    for (mentioned, path, answers) in [(HANGS, 0, 13), (HANGS, 20, 8), (ECHO, 20, 20)] {
        let limits = limits(|limits| limits.call_words = 50_000);
        let (mut served, theirs) = Served::begun(limits, Vat::bootstrap::<executor::Client>);
        served.say([bootstrap(0), call(1, mentioned, 0, &[], "")].concat());
        let mut answered = 0;
        while served.lives() && answered < 20 {
            let request = theirs.echo_request().send().promise;
            let mut ours = Slot::new(async move { request.await.map(drop) });
            settle(|cx| {
                ours.poll(cx);
                served.vat.poll(cx);
            });
            served.say(answer(path));
            settle(|cx| {
                served.vat.poll(cx);
                ours.poll(cx);
            });
            let outcome = ours.output.expect("answered, or ended");
            answered += usize::from(outcome.is_ok());
        }
        assert_eq!(answered, answers, "{mentioned}, {path}");
        drop(theirs);
        if mentioned == HANGS {
            served.assert_overloaded("mentions", "words, more than the limit of 50000");
        }
    }
}

#[test]
fn a_long_reason_to_give_up_is_cut() {
    let mut served = Served::new(Limits::default());
    served.say([bootstrap(0), hangs(1)].concat());
    served.say(rpc(|m| {
        let mut abort = m.init_abort();
        abort.set_reason("Ä".repeat(100_000));
        abort.set_type(exception::Type::Overloaded);
    }));
    let error = served.vat.output.take().expect("ended").expect_err("abort");
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.extra.starts_with("remote exception: ÄÄÄ"), "{error}");
    assert!(error.extra.len() < 2_000, "{} bytes", error.extra.len());
    // Whatever it says, it went beyond no limit of ours.
    assert_eq!(served.traffic.exceeded(), None);
    assert_eq!(served.log.alive(), 0, "something leaked");
}

#[test]
fn a_long_reason_why_a_call_failed_is_cut() {
    let (reader, mut to_vat) = piper::pipe(1 << 20);
    let (_unread, writer) = piper::pipe(1 << 16);
    let mut vat = Vat::new(reader, writer, Side::Client, None, Limits::default());
    let executor: executor::Client = vat.bootstrap();
    let mut vat = Slot::new(vat);
    let mut calls = ["one", "two"].map(|text| Slot::new(echo(&executor, text)));
    let said = [(1, 65_536), (2, 600_000)].map(|(id, length)| {
        rpc(|m| {
            let mut answer = m.init_return();
            answer.set_answer_id(id);
            let mut exception = answer.init_exception();
            exception.set_reason("x".repeat(length));
            exception.set_type(exception::Type::Overloaded);
        })
    });
    settle(|cx| vat.poll(cx));
    let said = said.concat();
    let mut saying = Slot::new(async move { to_vat.write_all(&said).await.map(|()| to_vat) });
    settle(|cx| {
        saying.poll(cx);
        vat.poll(cx);
        calls.iter_mut().for_each(|call| call.poll(cx));
    });
    let [whole, cut] = calls.map(|call| {
        let error = call.output.expect("no hang").expect_err("it failed");
        assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
        error.extra.len()
    });
    assert_eq!(whole, "remote exception: ".len() + 65_536);
    assert!((65_536..65_636).contains(&cut), "{cut}");
    assert!(vat.output.is_none(), "the connection goes on");
}

#[test]
fn a_peer_that_never_reads_loses_the_connection() {
    let limits = limits(|limits| limits.queue_words = 100_000);
    let floods: [(&str, Says); 2] = [
        ("answers", |_| call(1, ECHO, 0, &[], "hello")),
        ("bootstraps", |_| [bootstrap(1), finish(1)].concat()),
    ];
    for (name, message) in floods {
        let mut served = Served::new(limits);
        served.say(bootstrap(0));
        for round in 0..100 {
            served.say((0..100).flat_map(message).collect());
            if !served.lives() {
                break;
            }
            assert!(round < 50, "{name}: still there");
        }
        served.assert_overloaded(name, "more than the limit of 100000");
    }
}

#[test]
fn a_peer_that_reads_late_gets_every_answer() {
    let mut served = Served::new(Limits::default());
    served.say(bootstrap(0));
    served.say(
        (1..=2_000)
            .flat_map(|id| call(id, ECHO, 0, &[], "hello"))
            .collect(),
    );
    assert_eq!(served.heard(), (0..=2_000).collect::<Vec<_>>());
}

#[test]
fn calls_of_our_own_that_nobody_reads_are_bounded() {
    let limits = limits(|limits| limits.queue_words = 50_000);
    let (silence, _peer) = piper::pipe(1);
    let (_unread, writer) = piper::pipe(64);
    let mut vat = Vat::new(silence, writer, Side::Client, None, limits);
    let executor: executor::Client = vat.bootstrap();
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    let mut calls: Vec<_> = (0..1_000)
        .map(|_| Slot::new(echo(&executor, "hello")))
        .collect();
    settle(|cx| {
        vat.poll(cx);
        calls.iter_mut().for_each(|call| call.poll(cx));
    });
    assert!(vat.output.is_none(), "a call fails alone");
    let waiting = calls.iter().filter(|call| call.output.is_none()).count();
    assert!((100..900).contains(&waiting), "{waiting}");
    for call in calls.into_iter().skip(waiting) {
        let error = call.output.expect("no hang").expect_err("it is not sent");
        assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
        assert!(error.extra.contains("has not read"), "{error}");
    }
}

/// Answers with as many capabilities, in a list.
struct Lavish(Log, u32);

impl executor::Server for Lavish {
    async fn run_image(
        self: Rc<Self>,
        _: executor::RunImageParams,
        mut results: executor::RunImageResults,
    ) -> Outcome {
        let gives = Self(self.0.clone(), self.1);
        results.get().set_process(capnp_rpc::new_client(gives));
        Ok(())
    }
}

impl process::Server for Lavish {
    async fn bootstrap(
        self: Rc<Self>,
        _: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Outcome {
        let Self(log, count) = &*self;
        let place = results.get().init_cap();
        let mut list: capability_list::Builder<'_, executor::Client> = place.initn_as(*count);
        for index in 0..*count {
            list.set(index, serve_executor(log).client.hook);
        }
        Ok(())
    }
}

#[test]
fn what_came_with_answers_that_are_not_sent_is_bounded() {
    const RUN_IMAGE: u16 = 3;
    const BOOTSTRAP: u16 = 4;
    let on_answer = |id, interface, method, answer, step: bool| {
        rpc(|message| {
            let mut call = message.init_call();
            call.set_question_id(id);
            call.set_interface_id(interface);
            call.set_method_id(method);
            let mut target = call.reborrow().init_target().init_promised_answer();
            target.set_question_id(answer);
            if step {
                target.init_transform(1).get(0).set_get_pointer_field(0);
            }
            call.init_params();
        })
    };
    let few = limits(|limits| {
        limits.exports = 100;
        limits.capabilities = 20;
    });
    let give = |log: &Log| capnp_rpc::new_client::<executor::Client, _>(Lavish(log.clone(), 30));
    let (mut served, ()) = Served::serving(few, give, |_| ());
    served.say(bootstrap(0));
    served.say(on_answer(1, executor::Client::TYPE_ID, RUN_IMAGE, 0, false));
    let mut calls = 2..40;
    // It finishes with none.
    while served.lives()
        && let Some(id) = calls.next()
    {
        served.say(on_answer(id, process::Client::TYPE_ID, BOOTSTRAP, 1, true));
    }
    assert!(calls.start < 10, "{}", calls.start);
    served.assert_overloaded("not sent", "capabilities, more than the limit of 100");
}

#[test]
fn a_message_that_is_being_written_waits_as_well() {
    const WORDS: usize = 10_000;
    let limits = limits(|limits| limits.queue_words = WORDS);
    let (silence, _peer) = piper::pipe(1);
    let (mut read, writer) = piper::pipe(WORDS);
    let mut vat = Vat::new(silence, writer, Side::Client, None, limits);
    let executor: executor::Client = vat.bootstrap();
    let mut vat = Slot::new(vat);
    let text = "x".repeat(WORDS * 8 * 6 / 10);
    let mut calls = Vec::new();
    let mut say = |reads: bool| {
        calls.push(Slot::new(echo(&executor, &text)));
        settle(|cx| {
            vat.poll(cx);
            calls.iter_mut().for_each(|call| call.poll(cx));
            let mut read = Pin::new(&mut read);
            while reads
                && matches!(
                    read.as_mut().poll_read(cx, &mut [0; 4096]),
                    Poll::Ready(Ok(1..))
                )
            {}
        });
        vat.output.take()
    };
    for round in 0..3 {
        assert!(say(true).is_none(), "{round}");
    }
    assert!(say(false).is_none());
    assert!(say(false).is_none(), "a call fails alone");
    let refused = calls.pop().and_then(|call| call.output);
    let refused = refused.expect("no hang").expect_err("it is not sent");
    assert_eq!(refused.kind, ErrorKind::Overloaded, "{refused}");
    assert!(refused.extra.contains("has not read"), "{refused}");
}

#[test]
fn calls_that_the_peer_never_answers_are_bounded_whether_or_not_we_wait() {
    for waits in [true, false] {
        let limits = limits(|limits| limits.unanswered_calls = 10);
        let (silence, _peer) = piper::pipe(1);
        let (_unread, writer) = piper::pipe(1 << 16);
        let mut vat = Vat::new(silence, writer, Side::Client, None, limits);
        let executor: executor::Client = vat.bootstrap();
        let mut vat = Slot::new(vat);
        settle(|cx| vat.poll(cx));
        let mut waiting = Vec::new();
        for _ in 1..10 {
            let mut call = Slot::new(echo(&executor, "hello"));
            settle(|cx| {
                vat.poll(cx);
                call.poll(cx);
            });
            if waits {
                waiting.push(call);
            }
        }
        assert!(vat.output.is_none(), "waits: {waits}");
        let mut last = Slot::new(echo(&executor, "hello"));
        settle(|cx| {
            vat.poll(cx);
            last.poll(cx);
            waiting.iter_mut().for_each(|call| call.poll(cx));
        });
        let ended = vat.output.expect("ended").expect_err("overloaded");
        assert_eq!(ended.kind, ErrorKind::Overloaded, "{ended}");
        let expected = "has not answered 11 calls, more than the limit of 10";
        assert!(ended.extra.contains(expected), "{ended}");
        for call in waiting.into_iter().chain([last]) {
            let error = call.output.expect("no hang").expect_err("nobody answers");
            assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
        }
    }
}

#[test]
fn answered_calls_of_our_own_make_room() {
    let mut pair = pair_within(limits(|limits| limits.unanswered_calls = 4));
    let theirs: host::Client = pair.client.bootstrap();
    let mut vats = Slot::new(future::zip(pair.client, pair.server));
    let executor = executor_of(&theirs);
    for round in 0..100 {
        let mut call = Slot::new(echo(&executor, "again"));
        settle(|cx| {
            vats.poll(cx);
            call.poll(cx);
        });
        let answer = call.output.expect("answered");
        assert_eq!(answer.expect("served"), "Echo: again", "{round}");
    }
}

#[test]
fn answers_that_are_kept_are_no_calls_without_one() {
    let mut pair = pair_within(limits(|limits| limits.unanswered_calls = 4));
    let theirs: host::Client = pair.client.bootstrap();
    let mut vats = Slot::new(future::zip(pair.client, pair.server));
    let executor = executor_of(&theirs);
    let mut kept = Vec::new();
    for round in 0..100 {
        let mut call = Slot::new(executor.echo_request().send().promise);
        settle(|cx| {
            vats.poll(cx);
            call.poll(cx);
        });
        let answer = call.output.expect("answered");
        kept.push(answer.unwrap_or_else(|error| panic!("{round}: {error}")));
    }
}

#[test]
fn calls_may_be_let_go_of_without_end_as_long_as_they_are_answered() {
    let mut pair = pair_within(limits(|limits| {
        limits.unanswered_calls = 8;
        limits.cancelled_calls = 8;
        // Answers have a capability each.
        limits.exports = 8;
    }));
    let theirs: host::Client = pair.client.bootstrap();
    let mut vats = Slot::new(future::zip(pair.client, pair.server));
    for round in 0..100 {
        drop(theirs.executor_request().send());
        settle(|cx| vats.poll(cx));
        assert!(vats.output.is_none(), "{round}: {:?}", vats.output);
    }
    let mut call = Slot::new(echo(&executor_of(&theirs), "still here"));
    settle(|cx| {
        vats.poll(cx);
        call.poll(cx);
    });
    let answer = call.output.expect("answered");
    assert_eq!(answer.expect("served"), "Echo: still here");
    assert_eq!(pair.at_server.alive(), 1, "of the answers nothing is left");
}

#[test]
fn few_calls_run_on_that_were_let_go_of() {
    let mut pair = pair_within(limits(|limits| {
        limits.own_calls = 6;
        limits.unanswered_calls = 20;
    }));
    let theirs: host::Client = pair.client.bootstrap();
    let executor = executor_of(&theirs);
    let mut vats = Slot::new(future::zip(pair.client, pair.server));
    settle(|cx| vats.poll(cx));
    let idle = pair.at_server.alive();
    for let_go in 1..=15_usize {
        drop(executor.run_bytes_request().send());
        settle(|cx| vats.poll(cx));
        let running = pair.at_server.alive() - idle;
        assert_eq!(running, let_go.saturating_sub(10).min(3), "{let_go}");
    }
}

#[test]
fn what_is_kept_of_calls_that_were_let_go_of_is_little() {
    const LET_GO: usize = 1 << 14;
    let mut pair = pair();
    let executor = executor_of(&pair.client.bootstrap());
    let mut vats = Slot::new(future::zip(pair.client, pair.server));
    settle(|cx| vats.poll(cx));
    let idle = pair.at_server.alive();
    for more in [LET_GO, 20] {
        for _ in 0..more {
            drop(executor.run_bytes_request().send());
            settle(|cx| vats.poll(cx));
        }
        let running = pair.at_server.alive() - idle;
        assert_eq!(running, if more == LET_GO { 0 } else { more });
    }
}

/// How many calls a vat may have made in the end, beside the bootstrap, that may
/// leave four unanswered. It makes three, of which the first `let_go` are let go
/// of; hears `said`; and makes others.
fn calls_until_the_end(let_go: usize, said: Vec<u8>) -> usize {
    let (reader, mut to_vat) = piper::pipe(1 << 16);
    let (_unread, writer) = piper::pipe(1 << 16);
    let limits = limits(|limits| limits.unanswered_calls = 4);
    let mut vat = Vat::new(reader, writer, Side::Client, None, limits);
    let executor: executor::Client = vat.bootstrap();
    let mut vat = Slot::new(vat);
    let ask = || Slot::new(executor.echo_request().send().promise);
    // Answers are kept in their slots.
    let mut calls = [(); 3].map(|()| ask()).into_iter().collect::<Vec<_>>();
    settle(|cx| vat.poll(cx));
    calls.drain(..let_go);
    future::block_on(to_vat.write_all(&said)).expect("memory does not fail");
    let mut made = 3;
    loop {
        settle(|cx| {
            vat.poll(cx);
            calls.iter_mut().for_each(|call| call.poll(cx));
        });
        match vat.output.take() {
            None => calls.push(ask()),
            Some(ended) => {
                let ended = ended.expect_err("overloaded");
                let expected = "has not answered 5 calls, more than the limit of 4";
                assert!(ended.extra.contains(expected), "{ended}");
                return made;
            }
        }
        made += 1;
    }
}

#[test]
fn only_an_answer_makes_room_for_another_call_of_our_own_and_only_once() {
    let answer = |id, fill: fn(return_::Builder<'_>)| {
        rpc(|m| {
            let mut answer = m.init_return();
            answer.set_answer_id(id);
            fill(answer);
        })
    };
    let results = |id| {
        answer(id, |answer| {
            answer.init_results();
        })
    };
    let cancelled = |id| answer(id, |mut answer| answer.set_canceled(()));
    assert_eq!(calls_until_the_end(0, Vec::new()), 4);
    assert_eq!(calls_until_the_end(0, results(1)), 5);
    assert_eq!(calls_until_the_end(0, results(1).repeat(5)), 5);
    assert_eq!(calls_until_the_end(0, cancelled(1).repeat(5)), 5);
    assert_eq!(calls_until_the_end(2, Vec::new()), 4);
    assert_eq!(
        calls_until_the_end(2, [cancelled(1), results(2)].concat()),
        6
    );
}

#[test]
fn ordinary_pipelines_and_many_calls_at_once_are_unaffected() {
    let mut pair = pair();
    let theirs: host::Client = pair.client.bootstrap();
    let mut vats = Slot::new(future::zip(pair.client, pair.server));
    for round in 0..1_000 {
        let mut call = Slot::new(echo(&executor_of(&theirs), "pipelined"));
        settle(|cx| {
            vats.poll(cx);
            call.poll(cx);
        });
        let answer = call.output.expect("answered");
        assert_eq!(answer.expect("served"), "Echo: pipelined", "{round}");
    }
    for at_once in [64, 1_000] {
        let executor = executor_of(&theirs);
        let mut calls: Vec<_> = (0..at_once)
            .map(|_| Slot::new(echo(&executor, "at once")))
            .collect();
        settle(|cx| {
            vats.poll(cx);
            calls.iter_mut().for_each(|call| call.poll(cx));
        });
        for call in calls {
            let answer = call.output.expect("answered");
            assert_eq!(answer.expect("served"), "Echo: at once");
        }
    }
}

/// Answers `echo` once the executor that it was given has echoed too.
struct CallsBack(Rc<RefCell<Option<executor::Client>>>);

impl executor::Server for CallsBack {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Outcome {
        let message = params.get()?.get_message()?.to_str()?;
        let caller = self.0.borrow().clone();
        let answer = match caller {
            Some(caller) => echo(&caller, message).await?,
            None => pending().await,
        };
        results.get().set_response(answer);
        Ok(())
    }
}

#[test]
fn mutual_calls_at_the_limit_do_not_deadlock() {
    let limits = limits(|limits| limits.calls = 65);
    let (from_server, to_client) = piper::pipe(64);
    let (from_client, to_server) = piper::pipe(64);
    let log = Log::default();
    let echoes = Some(untyped(serve_executor(&log)));
    let caller = Rc::new(RefCell::new(None));
    let calls_back: executor::Client = capnp_rpc::new_client(CallsBack(caller.clone()));
    let calls_back = Some(untyped(calls_back));
    let mut client = Vat::new(from_server, to_server, Side::Client, echoes, limits);
    let mut server = Vat::new(from_client, to_client, Side::Server, calls_back, limits);
    *caller.borrow_mut() = Some(server.bootstrap());
    let executor: executor::Client = client.bootstrap();
    let mut vats = Slot::new(future::zip(client, server));
    let mut calls: Vec<_> = (0..64)
        .map(|_| Slot::new(echo(&executor, &"back".repeat(100))))
        .collect();
    settle(|cx| {
        vats.poll(cx);
        calls.iter_mut().for_each(|call| call.poll(cx));
    });
    for call in calls {
        call.output.expect("answered").expect("served");
    }
    assert!(vats.output.is_none(), "goes on");
}
