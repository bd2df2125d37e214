//! Calls whose results are not in their answers, as where one of ours leads back
//! to us and a C++ peer forwards it.

mod support;

use capnp::ErrorKind;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::return_;
use futures_lite::AsyncWriteExt;
use support::peer::{ECHO, Served, bootstrap, call, limits};
use support::{Outcome, Slot, echo, rpc, settle};
use ww_rpc::peer_capnp::executor;
use ww_rpc::{Limits, Side, Vat};

/// Question `id`: an echo of the bootstrap's, to be kept for another question.
fn kept(id: u32) -> Vec<u8> {
    rpc(|m| {
        let mut call = m.init_call();
        call.set_question_id(id);
        call.set_interface_id(executor::Client::TYPE_ID);
        call.set_method_id(ECHO);
        call.reborrow().init_target().init_promised_answer();
        call.get_send_results_to().set_yourself(());
    })
}

#[test]
fn results_that_are_to_be_kept_are_refused_and_the_connection_goes_on() {
    let mut served = Served::new(Limits::default());
    served.say(bootstrap(0));
    for round in 0..3 {
        // The id is free again at once.
        served.say(kept(1));
        served.say(support::peer::finish(1));
        served.say(call(1, ECHO, 0, &[], "hello"));
        let heard = served.heard();
        assert!(heard.ends_with(&[1, 1]), "{round}: {heard:?}");
        assert_eq!(*served.log.echoed.borrow(), ["hello"].repeat(round + 1));
    }
}

#[test]
fn refusals_that_nobody_reads_are_bounded() {
    let mut served = Served::new(limits(|limits| limits.queue_words = 10_000));
    served.say(bootstrap(0));
    served.say((1..10_000).flat_map(kept).collect());
    served.assert_overloaded("refusals", "more than the limit of 10000");
}

/// A vat whose peer is written by hand, and what that bootstraps.
struct Caller {
    vat: Slot<Outcome>,
    executor: executor::Client,
    to_vat: Option<piper::Writer>,
    _unread: piper::Reader,
}

impl Caller {
    fn new() -> Self {
        let (reader, to_vat) = piper::pipe(1 << 10);
        let (unread, writer) = piper::pipe(1 << 10);
        let mut vat = Vat::new(reader, writer, Side::Client, None, Limits::default());
        let executor: executor::Client = vat.bootstrap();
        let mut vat = Slot::new(vat);
        settle(|cx| vat.poll(cx));
        Self {
            vat,
            executor,
            to_vat: Some(to_vat),
            _unread: unread,
        }
    }

    /// Says what `fill` makes of a return from call `id`, and polls `calls`.
    fn hear<T>(&mut self, id: u32, fill: Fill, calls: &mut [Slot<T>]) {
        let said = rpc(|m| {
            let mut answer = m.init_return();
            answer.set_answer_id(id);
            fill(answer);
        });
        let mut to_vat = self.to_vat.take().expect("connected");
        let mut saying = Slot::new(async move {
            let said = to_vat.write_all(&said).await;
            said.map(|()| to_vat).expect("memory does not fail")
        });
        settle(|cx| {
            saying.poll(cx);
            self.vat.poll(cx);
            calls.iter_mut().for_each(|call| call.poll(cx));
        });
        self.to_vat = saying.output;
    }

    /// That the next call, which is number `id`, is answered.
    fn assert_goes_on(&mut self, id: u32, name: &str) {
        let mut call = [Slot::new(echo(&self.executor, "again"))];
        settle(|cx| self.vat.poll(cx));
        let results: Fill = |answer| {
            answer.init_results();
        };
        self.hear(id, results, &mut call);
        let answer = call[0].output.take();
        assert_eq!(answer.expect(name).expect(name), "", "{name}");
        assert!(self.vat.output.is_none(), "{name}");
    }
}

type Fill = fn(return_::Builder<'_>);

/// Returns without results, the kinds they fail with, and words of their text.
const WITHOUT_RESULTS: [(Fill, ErrorKind, &str); 4] = [
    (
        |mut answer| answer.set_canceled(()),
        ErrorKind::Failed,
        "took the call for cancelled",
    ),
    (
        |mut answer| answer.set_results_sent_elsewhere(()),
        ErrorKind::Failed,
        "sent the results elsewhere",
    ),
    (
        |mut answer| answer.set_take_from_other_question(7),
        ErrorKind::Unimplemented,
        "led back here",
    ),
    (
        |answer| {
            answer.init_accept_from_third_party();
        },
        ErrorKind::Unimplemented,
        "with a third party",
    ),
];

#[test]
fn a_call_whose_results_are_not_in_its_answer_fails_by_itself() {
    for (fill, kind, text) in WITHOUT_RESULTS {
        let mut caller = Caller::new();
        let mut calls = ["one", "two"].map(|said| Slot::new(echo(&caller.executor, said)));
        settle(|cx| caller.vat.poll(cx));
        // The bootstrap is question 0.
        caller.hear(1, fill, &mut calls);
        let [failed, other] = calls;
        let error = failed.output.expect(text).expect_err(text);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.extra.contains(text), "{error}");
        assert!(other.output.is_none(), "{text}: alone");
        caller.assert_goes_on(1, text);
    }
}

#[test]
fn how_the_peer_returns_from_a_call_that_was_let_go_of_is_all_the_same() {
    for (fill, _, text) in WITHOUT_RESULTS {
        let mut caller = Caller::new();
        let mut let_go = Slot::new(echo(&caller.executor, "never mind"));
        settle(|cx| caller.vat.poll(cx));
        let_go.cancel();
        caller.assert_goes_on(2, text);
        caller.hear::<()>(1, fill, &mut []);
        // Its id is free again.
        caller.assert_goes_on(1, text);
    }
}
