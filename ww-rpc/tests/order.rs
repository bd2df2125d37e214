//! Messages that are each in order, in every order but the right one: the
//! connection ends with a reason or goes on as if nothing were, and nothing
//! hangs, panics or leaks.

mod support;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use support::peer::{ECHO, HANGS, Served, bootstrap, call, call_with, finish, to_answer};
use support::{Log, Slot, echo, executor_of, never_answered, rpc, serve_host, settle, untyped};
use ww_rpc::{Limits, Side, Vat};

/// The `number`th of all orders of `messages`.
fn ordered(messages: &[Vec<u8>], mut number: usize) -> Vec<u8> {
    let mut left = messages.to_vec();
    let mut said = Vec::new();
    while !left.is_empty() {
        let message = left.remove(number % left.len());
        number /= left.len() + 1;
        said.extend(message);
    }
    said
}

/// How many orders there are of so many.
fn orders(count: usize) -> usize {
    (1..=count).product()
}

fn release(export: u32) -> Vec<u8> {
    rpc(|m| {
        let mut release = m.init_release();
        release.set_id(export);
        release.set_reference_count(1);
    })
}

/// The echo of an embargo of ours.
fn embargo(id: u32) -> Vec<u8> {
    rpc(|m| {
        let mut disembargo = m.init_disembargo();
        let target = disembargo.reborrow().init_target();
        target.init_promised_answer().set_question_id(1);
        disembargo.get_context().set_receiver_loopback(id);
    })
}

#[test]
fn calls_in_any_order_end_the_connection_with_a_reason_or_are_served() {
    let messages = [
        bootstrap(0),
        call(1, ECHO, 0, &[], "one"),
        call_with(2, HANGS, &[7]),
        to_answer(7, 1),
        call(3, ECHO, 0, &[2], "two"),
        finish(1),
        // The id is free after that, and only then.
        call(1, ECHO, 0, &[], "again"),
    ];
    let (mut served, mut ended) = (0, 0);
    for number in 0..orders(messages.len()) {
        let mut peer = Served::new(Limits::default());
        peer.say(ordered(&messages, number));
        if peer.lives() {
            // Whatever was wrong before.
            peer.say([bootstrap(10), call(11, ECHO, 0, &[], "three")].concat());
            served += usize::from(peer.heard().contains(&11));
        }
        peer.vat.cancel();
        if let Some(outcome) = peer.vat.output.take() {
            let error = outcome.expect_err("nobody has hung up");
            assert!(!error.extra.is_empty(), "order {number}");
            ended += 1;
        }
        assert_eq!(peer.log.alive(), 0, "order {number}: something leaked");
    }
    assert!(
        served > 100 && ended > 100,
        "{served} served, {ended} ended"
    );
    assert_eq!(served + ended, orders(messages.len()));
}

/// What a server says to [`ask`], message by message.
fn answers() -> Vec<Vec<u8>> {
    let (reader, to_server) = piper::pipe(1 << 16);
    let (mut answers, writer) = piper::pipe(1 << 16);
    let log = Log::default();
    let host = Some(untyped(serve_host(&log)));
    let server = Vat::new(reader, writer, Side::Server, host, Limits::default());
    let (silence, _keep) = piper::pipe(1);
    let (mut client, calls) = ask(silence, to_server);
    let mut server = Slot::new(server);
    settle(|cx| {
        client.poll(cx);
        server.poll(cx);
    });
    server.cancel();
    drop(calls);
    let mut bytes = Vec::new();
    future::block_on(answers.read_to_end(&mut bytes)).expect("memory does not fail");
    let mut rest = &bytes[..];
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        capnp::serialize::read_message(&mut rest, Default::default()).expect("a message");
        messages.push(before[..before.len() - rest.len()].to_vec());
    }
    messages
}

/// A client, and a call of it that a server answers and one that it does not.
fn ask(
    reader: piper::Reader,
    writer: piper::Writer,
) -> (Slot<support::Outcome>, [Slot<support::Outcome>; 2]) {
    let mut vat = Vat::new(reader, writer, Side::Client, None, Limits::default());
    let executor = executor_of(&vat.bootstrap());
    let answered = echo(&executor, "one");
    let calls = [
        Slot::new(async move { answered.await.map(drop) }),
        Slot::new(never_answered(&executor)),
    ];
    (Slot::new(vat), calls)
}

#[test]
fn answers_in_any_order_end_the_connection_with_a_reason_or_answer() {
    let mut messages = answers();
    messages.truncate(3);
    assert_eq!(
        messages.len(),
        3,
        "to the bootstrap, its executor and a call"
    );
    messages.extend([
        release(0),
        embargo(0),
        finish(0),
        call(0, ECHO, 0, &[], "back"),
    ]);
    let (mut answered, mut ended) = (0, 0);
    for number in 0..orders(messages.len()) {
        let (reader, mut to_client) = piper::pipe(1 << 16);
        let (_unread, writer) = piper::pipe(1 << 16);
        let (mut vat, mut calls) = ask(reader, writer);
        let said = ordered(&messages, number);
        future::block_on(to_client.write_all(&said)).expect("memory does not fail");
        let mut go = || {
            settle(|cx| {
                vat.poll(cx);
                calls.iter_mut().for_each(|call| call.poll(cx));
            });
        };
        go();
        // The peer is gone.
        drop(to_client);
        go();
        if let Err(error) = vat.output.expect("no hang") {
            assert!(!error.extra.is_empty(), "order {number}");
            ended += 1;
        }
        let [echo, hangs] = calls.map(|call| call.output.expect("no hang"));
        answered += usize::from(echo.is_ok());
        hangs.expect_err("it is never answered");
    }
    assert!(
        answered > 100 && ended > 100,
        "{answered} answered, {ended} ended"
    );
}
