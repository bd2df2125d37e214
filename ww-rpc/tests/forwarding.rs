//! The largest allowed message goes through a host that forwards it, and one that
//! is far larger to read than to send does not.

mod support;

use capnp::capability::{Request, Response};
use capnp::traits::HasTypeId;
use capnp::{ErrorKind, any_pointer};
use capnp_rpc::rpc_capnp::{message, return_};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use support::peer::{ECHO, bootstrap, call};
use support::shared::{nested, read, shared};
use support::{Log, Slot, echo, rpc, serve_executor, settle, untyped};
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

/// What `look` makes of an answer to a call of ours, and whether the connection goes
/// on.
fn answered<T: 'static>(
    answer: Vec<u8>,
    look: impl FnOnce(Response<any_pointer::Owned>) -> Result<T, capnp::Error> + 'static,
) -> (Result<T, capnp::Error>, bool) {
    let (reader, mut to_vat) = piper::pipe(1 << 20);
    let (_unread, writer) = piper::pipe(1 << 16);
    let mut vat = Vat::new(reader, writer, Side::Client, None, Limits::default());
    let theirs = untyped(vat.bootstrap::<executor::Client>());
    let request: Request<any_pointer::Owned, any_pointer::Owned> =
        theirs.new_call(executor::Client::TYPE_ID, ECHO, None);
    let call = request.send().promise;
    let mut call = Slot::new(async move { look(call.await?) });
    let mut vat = Slot::new(vat);
    settle(|cx| vat.poll(cx));
    future::block_on(to_vat.write_all(&answer)).expect("memory does not fail");
    settle(|cx| {
        vat.poll(cx);
        call.poll(cx);
    });
    (call.output.expect("answered"), vat.output.is_none())
}

#[test]
fn an_answer_that_is_far_larger_to_read_than_to_send_fails_its_call() {
    let (read, lives) = answered(answer(1), |answer| answer.get()?.target_size());
    let error = read.expect_err("it is refused");
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    assert!(error.extra.contains("to read than to send"), "{error}");
    assert!(lives, "the connection goes on");
}

/// The same with what the peer hosts.
fn answer_with_capabilities(id: u32) -> Vec<u8> {
    let whole = rpc(|m| {
        let mut answer = m.init_return();
        answer.set_answer_id(id);
        let mut results = answer.init_results();
        let mut table = results.reborrow().init_cap_table(4);
        for (at, export) in [(0, 5), (1, 7), (3, 5)] {
            table.reborrow().get(at).set_sender_hosted(export);
        }
        table.get(2).set_sender_promise(6);
        nested(results.get_content(), 5);
    });
    shared(whole, 5)
}

/// An answer whose capabilities take more room than a message may.
fn answer_of_capabilities(id: u32) -> Vec<u8> {
    rpc(|m| {
        let mut answer = m.init_return();
        answer.set_answer_id(id);
        let mut table = answer.init_results().init_cap_table(4);
        for (at, export) in [(0, 5), (1, 7), (3, 5)] {
            table.reborrow().get(at).set_sender_hosted(export);
        }
        table.get(2).set_sender_promise(6);
    })
}

#[test]
fn what_came_with_an_answer_that_fails_its_call_is_let_go_of_once() {
    let mut few = Limits::default();
    few.message_words = 300;
    let much = [
        (
            answer_with_capabilities(1),
            Limits::default(),
            "to read than to send",
        ),
        (
            answer_of_capabilities(1),
            few,
            "words, more than the limit of 300",
        ),
    ];
    for (answer, limits, expected) in much {
        // A call that is let go of before has told the peer to let go of what comes.
        for awaited in [true, false] {
            let (reader, mut to_vat) = piper::pipe(1 << 16);
            let (mut said, writer) = piper::pipe(1 << 16);
            let mut vat = Vat::new(reader, writer, Side::Client, None, limits);
            let executor: executor::Client = vat.bootstrap();
            let mut call = Slot::new(echo(&executor, "hi"));
            let mut vat = Slot::new(vat);
            settle(|cx| vat.poll(cx));
            if !awaited {
                call.cancel();
                settle(|cx| vat.poll(cx));
            }
            future::block_on(to_vat.write_all(&answer)).expect("memory does not fail");
            settle(|cx| {
                vat.poll(cx);
                call.poll(cx);
            });
            assert!(vat.output.is_none(), "{:?}", vat.output);
            assert_eq!(call.output.is_some(), awaited);
            if let Some(answered) = call.output {
                let error = answered.expect_err("it fails");
                assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
                assert!(error.extra.contains(expected), "{error}");
            }
            drop((executor, vat));
            let mut heard = Vec::new();
            future::block_on(said.read_to_end(&mut heard)).expect("memory does not fail");
            let (mut heard, mut released, mut finished) = (&heard[..], Vec::new(), Vec::new());
            while !heard.is_empty() {
                let said = capnp::serialize::read_message(&mut heard, Default::default());
                let said = said.expect("whole messages");
                let said: message::Reader<'_> = said.get_root().expect("root");
                match said.which() {
                    Ok(message::Release(Ok(release))) => {
                        released.push((release.get_id(), release.get_reference_count()));
                    }
                    Ok(message::Finish(Ok(finish))) if finish.get_question_id() == 1 => {
                        finished.push(finish.get_release_result_caps());
                    }
                    _ => {}
                }
            }
            let by_itself: &[_] = if awaited {
                &[(5, 2), (6, 1), (7, 1)]
            } else {
                &[]
            };
            assert_eq!(released, by_itself, "awaited: {awaited}");
            assert_eq!(finished, [!awaited]);
        }
    }
}

#[test]
fn an_answer_may_be_read_again_and_again() {
    let text = "x".repeat(10_000);
    let expected = text.clone();
    let whole = rpc(|m| {
        let mut answer = m.init_return();
        answer.set_answer_id(1);
        let content = answer.init_results().get_content();
        content
            .init_as::<executor::echo_results::Builder<'_>>()
            .set_response(text);
    });
    let (read, _) = answered(whole, move |answer| {
        for _ in 0..1_000 {
            let content: executor::echo_results::Reader<'_> = answer.get()?.get_as()?;
            assert_eq!(content.get_response()?.to_str()?, expected);
        }
        Ok(())
    });
    read.expect("it is read");
}

/// Results in a struct of a hundred words, with `pointers` to one text of as many.
fn pointing(pointers: usize) -> Vec<u8> {
    const WORDS: usize = 100;
    let structure = |data: usize, pointers: usize| (data as u64) << 32 | (pointers as u64) << 48;
    let list = |offset: usize, size: u64, count: usize| {
        1 | (offset as u64) << 2 | size << 32 | (count as u64) << 35
    };
    let mut words = vec![structure(1, 1), 3, structure(WORDS, 1)];
    // The id of the answer, and that it is results.
    words.push(1);
    words.resize(words.len() + WORDS - 1, 0);
    words.extend([structure(0, 1), list(0, 6, pointers)]);
    words.extend((1..=pointers).map(|at| list(pointers - at, 2, WORDS * 8)));
    words.resize(words.len() + WORDS, 0);
    let header = [0, words.len() as u32].map(u32::to_le_bytes).concat();
    let body = words.into_iter().flat_map(u64::to_le_bytes);
    header.into_iter().chain(body).collect()
}

#[test]
fn no_answer_panics_whoever_looks_at_it_again() {
    let mut passed = 0;
    // The most that may be read at once is in between.
    for pointers in 60..240 {
        let (read, lives) = answered(pointing(pointers), |answer| {
            let sizes = [(); 5].map(|()| answer.get()?.target_size());
            sizes.into_iter().collect::<Result<Vec<_>, _>>()
        });
        assert!(lives, "{pointers}");
        match read {
            Ok(_) => passed += 1,
            Err(error) => assert_eq!(error.kind, ErrorKind::Overloaded, "{pointers}: {error}"),
        }
    }
    assert!((1..180).contains(&passed), "{passed}");
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
