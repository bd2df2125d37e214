//! A call of ours that leads back to us, as a C++ peer forwards it.

mod support;

use capnp::ErrorKind;
use capnp::traits::HasTypeId;
use futures_lite::AsyncWriteExt;
use support::peer::{ECHO, Served, bootstrap, call, limits};
use support::{Slot, echo, rpc, settle};
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

#[test]
fn a_call_that_leads_back_fails_by_itself() {
    let (reader, mut to_vat) = piper::pipe(1 << 10);
    let (_unread, writer) = piper::pipe(1 << 10);
    let mut vat = Vat::new(reader, writer, Side::Client, None, Limits::default());
    let executor: executor::Client = vat.bootstrap();
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    let mut ours = Slot::new(echo(&executor, "hello"));
    let answer = rpc(|m| {
        let mut answer = m.init_return();
        answer.set_answer_id(1);
        answer.set_take_from_other_question(7);
    });
    let mut said = Slot::new(async move { to_vat.write_all(&answer).await.map(|()| to_vat) });
    settle(|cx| {
        said.poll(cx);
        vat.poll(cx);
        ours.poll(cx);
    });
    let error = ours.output.expect("no hang").expect_err("it led back");
    assert_eq!(error.kind, ErrorKind::Unimplemented, "{error}");
    assert!(vat.output.is_none(), "the connection goes on");
}
