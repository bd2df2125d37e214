//! The largest allowed message goes through a host that forwards it, and one that
//! is far larger to read than to send does not.

mod support;

use capnp::capability::Request;
use capnp::traits::HasTypeId;
use capnp::{ErrorKind, any_pointer};
use capnp_rpc::rpc_capnp::{message, return_};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use support::peer::{ECHO, bootstrap, call};
use support::shared::{nested, read, shared};
use support::{Log, Slot, rpc, serve_executor, settle, untyped};
use ww_rpc::peer_capnp::executor;
use ww_rpc::{Limits, Side, Vat};

const BYTES: usize = 1 << 20;

/// Two vats; what the one has of `exported` by the other, and their drive.
fn connect(
    exported: executor::Client,
    limits: Limits,
) -> (executor::Client, impl Future<Output = ()>) {
    let (up, up_end) = piper::pipe(1 << 16);
    let (down, down_end) = piper::pipe(1 << 16);
    let server = Vat::new(up, down_end, Side::Server, Some(untyped(exported)), limits);
    let mut client = Vat::new(down, up_end, Side::Client, None, limits);
    let imported = client.bootstrap();
    let drive = async move { drop(future::zip(server, client).await) };
    (imported, drive)
}

#[test]
fn the_largest_message_survives_forwarding_and_a_larger_one_does_not() {
    // The text, and what a call and an answer have beside it.
    for (room, passes) in [(32, true), (0, false)] {
        let mut limits = Limits::default();
        limits.message_words = BYTES / 8 + room;
        let log = Log::default();
        let (import, inner) = connect(serve_executor(&log), limits);
        let (outside, outer) = connect(import, limits);
        let mut request = outside.echo_request();
        request.get().set_message("x".repeat(BYTES - 64));
        let sent = request.send().promise;
        let mut call = Slot::new(async move {
            let answer = sent.await?;
            Ok::<usize, capnp::Error>(answer.get()?.get_response()?.len())
        });
        let mut vats = Slot::new(future::zip(inner, outer));
        settle(|cx| {
            vats.poll(cx);
            call.poll(cx);
        });
        let echoed = call.output.take().expect("no hang");
        assert_eq!(echoed.is_ok(), passes, "{echoed:?}");
        if passes {
            assert_eq!(echoed.expect("it passes"), BYTES - 64 + "Echo: ".len());
        }
    }
}

/// Results of few words, of which many are read.
fn answer(id: u32) -> Vec<u8> {
    let whole = rpc(|m| {
        let mut answer = m.init_return();
        answer.set_answer_id(id);
        nested(answer.init_results().get_content(), 5);
    });
    shared(whole, 5)
}

#[test]
fn an_answer_is_not_read_for_more_than_it_has() {
    let (reader, mut to_vat) = piper::pipe(1 << 16);
    let (_unread, writer) = piper::pipe(1 << 16);
    let mut vat = Vat::new(reader, writer, Side::Client, None, Limits::default());
    let theirs = untyped(vat.bootstrap::<executor::Client>());
    let request: Request<any_pointer::Owned, any_pointer::Owned> =
        theirs.new_call(executor::Client::TYPE_ID, ECHO, None);
    let call = request.send().promise;
    let mut call = Slot::new(async move { call.await?.get()?.target_size() });
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    future::block_on(to_vat.write_all(&answer(1))).expect("memory does not fail");
    settle(|cx| {
        vat.poll(cx);
        call.poll(cx);
    });
    let read = call.output.expect("answered").map(|size| size.word_count);
    let error = read.expect_err("it is refused");
    assert_eq!(error.kind, ErrorKind::ReadLimitExceeded, "{error}");
    assert!(vat.output.is_none(), "the connection goes on");
}

#[test]
fn small_answers_that_are_large_to_read_do_not_fill_the_queue_of_who_asked() {
    const CALLS: u32 = 3;
    let mut limits = Limits::default();
    limits.queue_words = 2 * read(5);
    let (reader, mut to_outer) = piper::pipe(1 << 16);
    let (mut answers, writer) = piper::pipe(1 << 16);
    let (from_inside, mut to_inner) = piper::pipe(1 << 16);
    let (_unread, to_inside) = piper::pipe(1 << 16);
    let mut inner = Vat::new(from_inside, to_inside, Side::Client, None, limits);
    let inside = Some(untyped(inner.bootstrap::<executor::Client>()));
    let outer = Vat::new(reader, writer, Side::Server, inside, limits);
    let (mut inner, mut outer) = (Slot::new(inner), Slot::new(outer));
    let calls = (1..=CALLS).flat_map(|id| call(id, ECHO, 0, &[], ""));
    let said: Vec<u8> = bootstrap(0).into_iter().chain(calls).collect();
    let said_inside: Vec<u8> = (1..=CALLS).flat_map(answer).collect();
    for (to, said) in [(&mut to_outer, said), (&mut to_inner, said_inside)] {
        future::block_on(to.write_all(&said)).expect("memory does not fail");
        settle(|cx| {
            outer.poll(cx);
            inner.poll(cx);
        });
    }
    assert!(outer.output.is_none(), "{:?}", outer.output);
    assert!(inner.output.is_none(), "{:?}", inner.output);
    drop(outer);
    let mut heard = Vec::new();
    future::block_on(answers.read_to_end(&mut heard)).expect("memory does not fail");
    let (mut heard, mut failed) = (&heard[..], 0);
    while !heard.is_empty() {
        let said = capnp::serialize::read_message(&mut heard, Default::default());
        let said = said.expect("whole messages");
        let said: message::Reader<'_> = said.get_root().expect("root");
        if let Ok(message::Return(Ok(answer))) = said.which() {
            failed += u32::from(matches!(answer.which(), Ok(return_::Exception(_))));
        }
    }
    assert_eq!(failed, CALLS);
}
