//! How connections end: dropped, drained, cut, and what is delivered before.

mod support;

use capnp::ErrorKind;
use capnp::capability::Promise;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use support::{
    Log, Outcome, Slot, echo, executor_of, never_answered, pair, serve_executor, settle,
};
use ww_rpc::peer_capnp::{executor, host};
use ww_rpc::{Limits, Side, Vat};

/// Everything that one side says, with nobody to answer.
fn said(speak: impl FnOnce(&executor::Client) -> Vec<Promise<(), capnp::Error>>) -> Vec<u8> {
    let (silence, _keep) = piper::pipe(1);
    let (mut said, writer) = piper::pipe(1 << 20);
    let mut vat = Vat::new(silence, writer, Side::Client, None, Limits::default());
    let host = vat.bootstrap();
    let executor = executor_of(&host);
    let calls = speak(&executor);
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    vat.cancel();
    // Held until here, so that nothing of what was said was taken back.
    drop((calls, executor, host));
    let mut bytes = Vec::new();
    future::block_on(said.read_to_end(&mut bytes)).expect("memory does not fail");
    bytes
}

fn listen(bytes: &[u8]) -> (Option<Outcome>, Log) {
    let log = Log::default();
    let (reader, mut writer) = piper::pipe(bytes.len().max(1));
    future::block_on(writer.write_all(bytes)).expect("memory does not fail");
    drop(writer);
    let (_answers, to_nobody) = piper::pipe(1 << 20);
    let bootstrap = Some(support::untyped(support::serve_host(&log)));
    let vat = Vat::new(
        reader,
        to_nobody,
        Side::Server,
        bootstrap,
        Limits::default(),
    );
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    (vat.output, log)
}

fn forget<T: 'static>(call: Promise<T, capnp::Error>) -> Promise<(), capnp::Error> {
    Promise::from_future(async move { call.await.map(|_| ()) })
}

/// Where each message of `bytes` ends.
fn boundaries(bytes: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    let mut rest = bytes;
    while !rest.is_empty() {
        capnp::serialize::read_message(&mut rest, Default::default()).expect("our own message");
        ends.push(bytes.len() - rest.len());
    }
    ends
}

#[test]
fn calls_go_both_ways() {
    let mut pair = pair();
    let theirs = executor_of(&pair.client.bootstrap::<host::Client>());
    let ours = executor_of(&pair.server.bootstrap::<host::Client>());
    let mut there = Slot::new(echo(&theirs, "there"));
    let mut back = Slot::new(echo(&ours, "back"));
    let mut vats = Slot::new(future::zip(pair.client, pair.server));
    settle(|cx| {
        vats.poll(cx);
        there.poll(cx);
        back.poll(cx);
    });
    assert_eq!(
        there.output.expect("answered").expect("served"),
        "Echo: there"
    );
    assert_eq!(
        back.output.expect("answered").expect("served"),
        "Echo: back"
    );
    assert_eq!(*pair.at_server.echoed.borrow(), ["there"]);
}

#[test]
fn a_peer_that_stops_at_any_byte_ends_the_connection() {
    let bytes = said(|executor| {
        vec![
            forget(echo(executor, "one")),
            forget(echo(executor, "two")),
            never_answered(executor),
        ]
    });
    let boundaries = boundaries(&bytes);
    assert_eq!(boundaries.len(), 6, "bootstrap and four calls");
    for cut in 0..=bytes.len() {
        let (outcome, log) = listen(&bytes[..cut]);
        let outcome = outcome.unwrap_or_else(|| panic!("cut at {cut}: the vat hangs"));
        if boundaries.contains(&cut) {
            assert!(outcome.is_ok(), "cut at {cut}: {outcome:?}");
        } else {
            let error = outcome.expect_err("cut inside a message");
            assert_eq!(error.kind, ErrorKind::Disconnected, "cut at {cut}");
            assert!(
                error.extra.contains("inside a message"),
                "cut at {cut}: {error}"
            );
        }
        assert_eq!(log.alive(), 0, "cut at {cut}: something leaked");
        let delivered = boundaries.iter().filter(|end| **end <= cut).count();
        assert_eq!(
            log.echoed.borrow().len(),
            delivered.saturating_sub(3).min(2),
            "cut at {cut}"
        );
    }
}

#[test]
fn our_calls_fail_when_the_peer_stops_at_any_byte() {
    // What a server answers, recorded from a server that is asked the same.
    let asked = said(|executor| vec![forget(echo(executor, "one")), never_answered(executor)]);
    let log = Log::default();
    let (reader, mut writer) = piper::pipe(1 << 16);
    let (mut answers, answering) = piper::pipe(1 << 16);
    future::block_on(writer.write_all(&asked)).expect("memory does not fail");
    let bootstrap = Some(support::untyped(support::serve_host(&log)));
    let mut server = Slot::new(Vat::new(
        reader,
        answering,
        Side::Server,
        bootstrap,
        Limits::default(),
    ));
    settle(|cx| server.poll(cx));
    server.cancel();
    let mut answered = Vec::new();
    future::block_on(answers.read_to_end(&mut answered)).expect("memory does not fail");
    assert!(boundaries(&answered).len() > 3);

    for cut in 0..=answered.len() {
        let (reader, mut writer) = piper::pipe(1 << 16);
        future::block_on(writer.write_all(&answered[..cut])).expect("memory does not fail");
        let (_keep, to_nobody) = piper::pipe(1 << 16);
        let mut vat = Vat::new(reader, to_nobody, Side::Client, None, Limits::default());
        let executor = executor_of(&vat.bootstrap());
        let mut first = Slot::new(echo(&executor, "one"));
        let mut second = Slot::new(never_answered(&executor));
        let mut vat = Slot::new(vat);
        drop(writer);
        settle(|cx| {
            vat.poll(cx);
            first.poll(cx);
            second.poll(cx);
        });
        assert!(vat.output.is_some(), "cut at {cut}: the vat hangs");
        match first.output.expect("no hang") {
            Ok(answer) => assert_eq!(answer, "Echo: one"),
            Err(error) => assert_eq!(error.kind, ErrorKind::Disconnected, "cut at {cut}"),
        }
        let error = second.output.expect("no hang").expect_err("never answered");
        assert_eq!(error.kind, ErrorKind::Disconnected, "cut at {cut}: {error}");
    }
}

#[test]
fn dropping_either_side_at_any_stage_fails_calls_and_frees_everything() {
    for turns in 0..60 {
        for drops_client in [true, false] {
            let stage = format!("after {turns} turns, client dropped: {drops_client}");
            let mut pair = pair();
            let ours = executor_of(&pair.server.bootstrap::<host::Client>());
            let theirs = executor_of(&pair.client.bootstrap::<host::Client>());
            let (at_client, at_server) = (pair.at_client, pair.at_server);
            let mut calls = [
                Slot::new(never_answered(&theirs)),
                Slot::new(never_answered(&ours)),
            ];
            let mut echoes = [Slot::new(echo(&theirs, "a")), Slot::new(echo(&ours, "b"))];
            let mut client = Slot::new(pair.client);
            let mut server = Slot::new(pair.server);
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            for turn in 0..turns {
                match turn % 4 {
                    0 => client.poll(&mut cx),
                    1 => calls.iter_mut().for_each(|call| call.poll(&mut cx)),
                    2 => server.poll(&mut cx),
                    _ => echoes.iter_mut().for_each(|call| call.poll(&mut cx)),
                }
            }
            if drops_client {
                client.cancel()
            } else {
                server.cancel()
            }
            settle(|cx| {
                client.poll(cx);
                server.poll(cx);
                calls.iter_mut().for_each(|call| call.poll(cx));
                echoes.iter_mut().for_each(|call| call.poll(cx));
            });
            let survivor = if drops_client { server } else { client };
            // It may have been dropped inside a message.
            if let Err(error) = survivor.output.expect(&stage) {
                assert_eq!(error.kind, ErrorKind::Disconnected, "{stage}: {error}");
            }
            for call in calls {
                let error = call.output.expect(&stage).expect_err(&stage);
                assert_eq!(error.kind, ErrorKind::Disconnected, "{stage}: {error}");
            }
            for call in echoes {
                if let Err(error) = call.output.expect(&stage) {
                    assert_eq!(error.kind, ErrorKind::Disconnected, "{stage}: {error}");
                }
            }
            drop((ours, theirs));
            assert_eq!((at_client.alive(), at_server.alive()), (0, 0), "{stage}");
        }
    }
}

#[test]
fn a_vat_that_was_never_polled_frees_everything() {
    let mut pair = pair();
    let executor: executor::Client = pair.server.bootstrap();
    let mut call = Slot::new(never_answered(&executor));
    let (at_client, at_server) = (pair.at_client, pair.at_server);
    drop((pair.client, pair.server));
    settle(|cx| call.poll(cx));
    let error = call.output.expect("no hang").expect_err("nobody answers");
    assert_eq!(error.kind, ErrorKind::Disconnected);
    drop(executor);
    assert_eq!((at_client.alive(), at_server.alive()), (0, 0));
}

#[test]
fn calls_pipelined_before_the_end_are_delivered() {
    let bytes = said(|executor| vec![forget(echo(executor, "last words"))]);
    let (outcome, log) = listen(&bytes);
    assert!(matches!(outcome, Some(Ok(()))), "{outcome:?}");
    assert_eq!(*log.echoed.borrow(), ["last words"]);
}

#[test]
fn a_server_that_wakes_itself_for_ever_does_not_hold_up_the_end() {
    let bytes = said(|executor| vec![forget(executor.compile_request().send().promise)]);
    let (outcome, log) = listen(&bytes);
    assert!(matches!(outcome, Some(Ok(()))), "{outcome:?}");
    assert_eq!(log.alive(), 0);
}

#[test]
fn draining_delivers_what_was_written_and_waits_for_no_more() {
    let bytes = said(|executor| vec![forget(echo(executor, "written")), never_answered(executor)]);
    for (extra, whole) in [(&b""[..], true), (&[0, 0, 0][..], false)] {
        for drain_first in [true, false] {
            let log = Log::default();
            let (reader, mut writer) = piper::pipe(1 << 16);
            // Too small for the answers, and never read.
            let (_stuck, answers) = piper::pipe(1);
            let bootstrap = Some(support::untyped(support::serve_host(&log)));
            let mut vat = Vat::new(reader, answers, Side::Server, bootstrap, Limits::default());
            future::block_on(writer.write_all(&[&bytes, extra].concat())).expect("in memory");
            if !drain_first {
                let mut polled = None;
                settle(|cx| polled = Some(std::pin::Pin::new(&mut vat).poll(cx).is_ready()));
                assert_eq!(polled, Some(false), "the peer is still there");
            }
            vat.drain();
            let mut vat = Slot::new(vat);
            settle(|cx| vat.poll(cx));
            let outcome = vat.output.expect("drained");
            assert_eq!(outcome.is_ok(), whole, "{outcome:?}");
            assert_eq!(*log.echoed.borrow(), ["written"]);
            assert_eq!(log.alive(), 0);
        }
    }
}

#[test]
fn draining_wakes_a_vat_that_waits() {
    let pair = pair();
    let (mut server, mut kept) = (pair.server, Slot::new(pair.client));
    let wakes = std::sync::Arc::new(support::Wakes::default());
    let waker = std::task::Waker::from(wakes.clone());
    let mut cx = std::task::Context::from_waker(&waker);
    while std::pin::Pin::new(&mut server).poll(&mut cx).is_pending() {
        let woken = wakes.0.swap(0, std::sync::atomic::Ordering::Relaxed);
        if woken == 0 {
            server.drain();
            assert!(wakes.0.load(std::sync::atomic::Ordering::Relaxed) > 0);
        }
    }
    settle(|cx| kept.poll(cx));
}

#[test]
fn calls_of_a_peer_that_no_longer_reads_are_delivered() {
    let bytes = said(|executor| {
        (0..10)
            .map(|n| forget(echo(executor, &n.to_string())))
            .collect()
    });
    let log = Log::default();
    let (reader, mut writer) = piper::pipe(bytes.len());
    future::block_on(writer.write_all(&bytes)).expect("memory does not fail");
    let (nobody, answers) = piper::pipe(1);
    drop(nobody);
    let bootstrap = Some(support::untyped(support::serve_host(&log)));
    let mut vat = Slot::new(Vat::new(
        reader,
        answers,
        Side::Server,
        bootstrap,
        Limits::default(),
    ));
    settle(|cx| vat.poll(cx));
    assert!(
        matches!(vat.output, Some(Ok(()))),
        "ends although the writer is still open"
    );
    assert_eq!(log.echoed.borrow().len(), 10);
    assert_eq!(log.alive(), 0);
    drop(writer);
}

#[test]
fn answers_are_written_to_a_peer_that_only_finished_writing() {
    let bytes = said(|executor| {
        (0..10)
            .map(|n| forget(echo(executor, &n.to_string())))
            .collect()
    });
    let log = Log::default();
    let (reader, mut writer) = piper::pipe(bytes.len());
    future::block_on(writer.write_all(&bytes)).expect("memory does not fail");
    drop(writer);
    let (mut answers, to_peer) = piper::pipe(16);
    let bootstrap = Some(support::untyped(support::serve_host(&log)));
    let mut vat = Slot::new(Vat::new(
        reader,
        to_peer,
        Side::Server,
        bootstrap,
        Limits::default(),
    ));
    settle(|cx| vat.poll(cx));
    assert!(vat.output.is_none(), "waits for the peer to read");
    let mut read = Slot::new(async move {
        let mut bytes = Vec::new();
        answers.read_to_end(&mut bytes).await.map(|_| bytes)
    });
    settle(|cx| {
        vat.poll(cx);
        read.poll(cx);
    });
    assert!(matches!(vat.output, Some(Ok(()))));
    let answers = read.output.expect("ended").expect("memory does not fail");
    let text = String::from_utf8_lossy(&answers);
    for n in 0..10 {
        assert!(
            text.contains(&format!("Echo: {n}")),
            "answer {n} is missing"
        );
    }
}

#[test]
fn draining_gives_up_a_peer_that_has_finished_writing_and_does_not_read() {
    let bytes = said(|executor| vec![forget(echo(executor, "written"))]);
    let log = Log::default();
    let (reader, mut writer) = piper::pipe(bytes.len());
    future::block_on(writer.write_all(&bytes)).expect("memory does not fail");
    drop(writer);
    let (_unread, answers) = piper::pipe(16);
    let bootstrap = Some(support::untyped(support::serve_host(&log)));
    let mut vat = Vat::new(reader, answers, Side::Server, bootstrap, Limits::default());
    let wakes = std::sync::Arc::new(support::Wakes::default());
    let waker = std::task::Waker::from(wakes.clone());
    let mut cx = std::task::Context::from_waker(&waker);
    let woken = || wakes.0.swap(0, std::sync::atomic::Ordering::Relaxed) > 0;
    while std::pin::Pin::new(&mut vat).poll(&mut cx).is_pending() && woken() {}
    assert_eq!(*log.echoed.borrow(), ["written"]);
    vat.drain();
    assert!(woken(), "somebody is to poll it");
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    assert!(matches!(vat.output, Some(Ok(()))));
    assert_eq!(log.alive(), 0);
}

#[test]
fn an_ended_vat_hands_out_broken_bootstraps() {
    let pair = pair();
    drop(pair.server);
    let mut client = pair.client;
    assert!(future::block_on(&mut client).is_ok());
    let host: host::Client = client.bootstrap();
    let error = future::block_on(echo(&executor_of(&host), "late")).expect_err("it has ended");
    assert_eq!(error.kind, ErrorKind::Disconnected);
}

#[test]
fn a_vat_without_bootstrap_says_so() {
    let (reader, to_client) = piper::pipe(1024);
    let (from_client, writer) = piper::pipe(1024);
    let server = Vat::new(
        from_client,
        to_client,
        Side::Server,
        None,
        Limits::default(),
    );
    let mut client = Vat::new(reader, writer, Side::Client, None, Limits::default());
    let executor: executor::Client = client.bootstrap();
    let mut call = Slot::new(echo(&executor, "anyone?"));
    let mut vats = Slot::new(future::zip(client, server));
    settle(|cx| {
        vats.poll(cx);
        call.poll(cx);
    });
    let error = call.output.expect("no hang").expect_err("nobody there");
    assert!(error.extra.contains("no bootstrap capability"), "{error}");
}

#[test]
fn an_idle_connection_wakes_nobody() {
    let mut pair = pair();
    let executor = executor_of(&pair.client.bootstrap::<host::Client>());
    let mut call = Slot::new(echo(&executor, "once"));
    let (mut client, mut server) = (Slot::new(pair.client), Slot::new(pair.server));
    let mut polls = 0;
    settle(|cx| {
        polls += 1;
        client.poll(cx);
        server.poll(cx);
        call.poll(cx);
    });
    assert!(call.output.expect("answered").is_ok());
    let quiet = polls;
    settle(|cx| {
        polls += 1;
        client.poll(cx);
        server.poll(cx);
    });
    assert_eq!(polls, quiet + 1);
    let _still_held = (executor, serve_executor(&pair.at_client));
}
