//! Peers that break the protocol: each gets its own error, nothing hangs,
//! panics, leaks, or allocates what it merely claims.

mod support;

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use capnp::ErrorKind;
use capnp_rpc::rpc_capnp::message;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt, future};
use support::peer::Served;
use support::shared::{nested, shared};
use support::{
    Log, Outcome, Slot, echo, executor_of, never_answered, rpc, serve_host, settle, untyped,
};
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::{Limits, Side, Vat};

/// Serves `bytes`, which is all that the peer ever says; it stays connected.
fn serve(bytes: &[u8], limits: Limits) -> (Option<Outcome>, Log) {
    let log = Log::default();
    let (reader, mut writer) = piper::pipe(bytes.len().max(1));
    future::block_on(writer.write_all(bytes)).expect("memory does not fail");
    // Nobody reads, so not even the farewell can be written.
    let (_stuck, answers) = piper::pipe(1);
    let bootstrap = Some(untyped(serve_host(&log)));
    let mut vat = Slot::new(Vat::new(reader, answers, Side::Server, bootstrap, limits));
    settle(|cx| vat.poll(cx));
    let output = vat.output.take();
    drop(vat);
    (output, log)
}

fn frame(words: u32) -> Vec<u8> {
    [
        &[0; 4][..],
        &words.to_le_bytes(),
        &vec![0; words as usize * 8],
    ]
    .concat()
}

#[test]
fn each_breach_of_the_protocol_is_named() {
    let mut limits = Limits::default();
    limits.message_words = 100;
    let table = |count: u32, lengths: &[u32]| {
        let numbers: Vec<u32> = [&[count - 1], lengths].concat();
        numbers
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    let cases: [(&str, Vec<u8>, &str); 11] = [
        (
            "noise",
            vec![0xa5; 64],
            "segments, more than the limit of 512",
        ),
        ("all ones", vec![0xff; 64], "4294967296 segments"),
        (
            "too many segments",
            table(513, &[0; 513]),
            "has 513 segments",
        ),
        (
            "too long",
            table(1, &[101]),
            "has 101 words, more than the limit of 100",
        ),
        ("too long together", table(3, &[50, 50, 1]), "has 101 words"),
        (
            "beyond any memory",
            table(4, &[u32::MAX; 5]),
            "has 17179869180 words",
        ),
        ("text", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "segments"),
        (
            "return nobody waits for",
            rpc(|m| m.init_return().set_answer_id(7)),
            "question ID",
        ),
        (
            "release of nothing",
            rpc(|m| m.init_release().set_id(9)),
            "export ID",
        ),
        (
            "call on nothing",
            rpc(|m| m.init_call().init_target().set_imported_cap(3)),
            "not a current export ID",
        ),
        (
            "abort",
            rpc(|m| m.init_abort().set_reason("we give up")),
            "remote exception: we give up",
        ),
    ];
    for (name, bytes, expected) in cases {
        let (outcome, log) = serve(&bytes, limits);
        let error = outcome
            .unwrap_or_else(|| panic!("{name}: the vat hangs"))
            .expect_err(name);
        let kind = match name {
            "too long" | "too long together" | "beyond any memory" => ErrorKind::Overloaded,
            _ => ErrorKind::Failed,
        };
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert!(error.extra.contains(expected), "{name}: {error}");
        assert_eq!(log.alive(), 0, "{name}: something leaked");
    }
}

#[test]
fn empty_messages_and_unknown_ones_are_survived_or_refused() {
    for words in 0..4 {
        let (outcome, log) = serve(&frame(words), Limits::default());
        drop(outcome);
        assert_eq!(log.alive(), 0, "{words} words");
    }
}

#[test]
fn what_nobody_knows_is_sent_back_whole_and_never_larger() {
    type Fill = fn(message::Builder<'_>);
    let kinds: [(&str, Fill); 5] = [
        ("join", |m| nested(m.init_join().init_key_part(), 4)),
        ("provide", |m| nested(m.init_provide().init_recipient(), 4)),
        ("accept", |m| nested(m.init_accept().init_provision(), 4)),
        ("save", |m| nested(m.init_obsolete_save(), 4)),
        ("delete", |m| nested(m.init_obsolete_delete(), 4)),
    ];
    let unknown = |mut bytes: Vec<u8>| {
        // The first word of the root, behind the segment table and a pointer.
        bytes[16] = 99;
        bytes
    };
    for (name, fill) in kinds {
        for message in [rpc(fill), unknown(rpc(fill))] {
            let mut served = Served::new(Limits::default());
            served.say(message.clone());
            let sent = served.traffic.bytes_out();
            assert!(served.lives(), "{name}");
            assert!(sent >= message.len() as u64, "{name}: {sent} bytes");
            served.say(shared(message.clone(), 4));
            let ended = served.vat.output.take().expect(name).expect_err(name);
            assert_eq!(ended.kind, ErrorKind::ReadLimitExceeded, "{name}: {ended}");
            let sent = served.traffic.bytes_out() - sent;
            assert!(sent <= message.len() as u64, "{name}: {sent} bytes");
        }
    }
}

#[test]
fn a_message_of_the_limit_passes_and_one_word_more_does_not() {
    let call = rpc(|m| {
        let mut call = m.init_call();
        call.reborrow().init_target().set_imported_cap(0);
        call.init_params()
            .get_content()
            .set_as("payload")
            .expect("text");
    });
    let words = call.len() / 8 - 1;
    for (message_words, expected) in [(words, "not a current export ID"), (words - 1, "limit of")] {
        let mut limits = Limits::default();
        limits.message_words = message_words;
        let error = serve(&call, limits)
            .0
            .expect("ended")
            .expect_err("refused either way");
        assert!(
            error.extra.contains(expected),
            "limit {message_words}: {error}"
        );
    }
}

/// Gives what it has, then waits; notes the largest buffer it was offered.
struct Claimant {
    bytes: Vec<u8>,
    given: usize,
    offered: Rc<Cell<usize>>,
}

impl AsyncRead for Claimant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.offered.set(self.offered.get().max(room.len()));
        let rest = &self.bytes[self.given..];
        let count = rest.len().min(room.len());
        if count == 0 {
            return Poll::Pending;
        }
        room[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Poll::Ready(Ok(count))
    }
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_claimed() {
    let claimed = Limits::default().message_words as u32;
    for arrived in [0, 1, 100, 10_000, 1_000_000] {
        let header = [[0; 4], claimed.to_le_bytes()].concat();
        let offered = Rc::new(Cell::new(0));
        let reader = Claimant {
            bytes: [header, vec![0; arrived]].concat(),
            given: 0,
            offered: offered.clone(),
        };
        let (_answers, writer) = piper::pipe(64);
        let mut vat = Slot::new(Vat::new(
            reader,
            writer,
            Side::Server,
            None,
            Limits::default(),
        ));
        settle(|cx| vat.poll(cx));
        assert!(vat.output.is_none(), "waits for the rest");
        let most = (8 << 10).max(arrived + 8);
        assert!(
            offered.get() <= most,
            "{arrived} arrived, {} taken",
            offered.get()
        );
    }
}

#[test]
fn a_stream_that_fails_is_reported() {
    struct Failing(io::ErrorKind);
    impl AsyncRead for Failing {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _room: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(self.0.into()))
        }
    }
    for (kind, fails) in [
        (io::ErrorKind::InvalidData, true),
        (io::ErrorKind::ConnectionReset, false),
    ] {
        let (_answers, writer) = piper::pipe(1 << 10);
        let mut vat = Vat::new(Failing(kind), writer, Side::Client, None, Limits::default());
        let mut call = Slot::new(echo(&vat.bootstrap(), "anyone?"));
        let mut vat = Slot::new(vat);
        settle(|cx| {
            vat.poll(cx);
            call.poll(cx);
        });
        assert_eq!(vat.output.expect("ended").is_err(), fails, "{kind}");
        let error = call.output.expect("no hang").expect_err("nobody answers");
        assert_eq!(error.kind, ErrorKind::Disconnected, "{kind}: {error}");
    }
}

/// All that a client says in a conversation with calls, pipelines, callbacks
/// and releases.
fn conversation() -> Vec<u8> {
    let (mut heard, to_server) = piper::pipe(1 << 16);
    let (from_client, mut copy) = piper::pipe(1 << 16);
    let (from_server, to_client) = piper::pipe(1 << 16);
    let log = Log::default();
    let bootstrap = || Some(untyped(serve_host(&log)));
    let mut client = Vat::new(
        from_server,
        to_server,
        Side::Client,
        bootstrap(),
        Limits::default(),
    );
    let mut server = Vat::new(
        from_client,
        to_client,
        Side::Server,
        bootstrap(),
        Limits::default(),
    );
    let theirs: host::Client = client.bootstrap();
    let ours: host::Client = server.bootstrap();
    let executor = executor_of(&theirs);
    let calls = [echo(&executor, "one"), echo(&executor_of(&ours), "two")];
    let unanswered = never_answered(&executor);
    let mut calls = calls.map(Slot::new);
    let mut vats = Slot::new(future::zip(client, server));
    let said = Rc::new(std::cell::RefCell::new(Vec::new()));
    let heard_all = said.clone();
    let mut relay = Slot::new(async move {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = heard.read(&mut buffer).await {
            heard_all.borrow_mut().extend_from_slice(&buffer[..count]);
            copy.write_all(&buffer[..count])
                .await
                .expect("server reads");
        }
    });
    let mut go = || {
        settle(|cx| {
            vats.poll(cx);
            relay.poll(cx);
            calls.iter_mut().for_each(|call| call.poll(cx));
        });
    };
    go();
    drop((unanswered, executor, theirs, ours));
    go();
    said.take()
}

#[test]
fn no_mutation_of_a_conversation_hangs_panics_or_leaks() {
    let said = conversation();
    assert!(said.len() > 500, "{} bytes", said.len());
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize
    };
    for round in 0..3_000 {
        let mut bytes = said.clone();
        for _ in 0..=random() % 3 {
            let at = random() % bytes.len();
            match random() % 4 {
                0 => bytes[at] ^= 1 << (random() % 8),
                1 => bytes[at] = random() as u8,
                2 => bytes[at] = [0, 1, 0x7f, 0xff][random() % 4],
                _ => {
                    // A word moved within: pointers that point elsewhere.
                    let (from, to) = (at & !7, (random() % bytes.len()) & !7);
                    bytes.copy_within(from..from + 8, to);
                }
            }
        }
        let (_, log) = serve(&bytes, Limits::default());
        assert_eq!(log.alive(), 0, "round {round}: something leaked");
    }
}

#[test]
fn a_broken_peer_fails_our_calls() {
    let (reader, mut writer) = piper::pipe(64);
    let (_answers, to_peer) = piper::pipe(1 << 10);
    let mut vat = Vat::new(reader, to_peer, Side::Client, None, Limits::default());
    let executor: executor::Client = vat.bootstrap();
    let mut before = Slot::new(never_answered(&executor));
    let mut vat = Slot::new(vat);
    settle(|cx| {
        vat.poll(cx);
        before.poll(cx);
    });
    future::block_on(writer.write_all(&[0xff; 16])).expect("memory does not fail");
    settle(|cx| {
        vat.poll(cx);
        before.poll(cx);
    });
    let mut after = Slot::new(never_answered(&executor));
    settle(|cx| after.poll(cx));
    for call in [before, after] {
        let error = call.output.expect("no hang").expect_err("nobody answers");
        assert!(error.extra.contains("segments"), "{error}");
    }
}
