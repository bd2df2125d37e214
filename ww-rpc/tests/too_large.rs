//! Calls and answers that are larger than a message may be fail alone, in both
//! directions, and nothing that they would have exported is left.

mod support;

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use capnp::{Error, ErrorKind, any_pointer, capability_list};
use support::peer::limits;
use support::{Log, Outcome, Slot, echo, serve_executor, settle, untyped};
use ww_rpc::peer_capnp::{byte_stream, executor, process};
use ww_rpc::{Limits, Side, Traffic, Vat};

const WORDS: usize = 2000;
const TOO_MANY: usize = WORDS * 8;

fn within() -> Limits {
    limits(|limits| limits.message_words = WORDS)
}

/// Gives as much text as it is asked for, with an executor where it gives anything.
#[derive(Clone, Default)]
struct Gives {
    log: Rc<Log>,
    /// Bytes of what it gives with an executor.
    bytes: Rc<Cell<usize>>,
    /// Executors that it gives at once, instead.
    many: Rc<Cell<u32>>,
}

impl executor::Server for Gives {
    async fn echo(
        self: Rc<Self>,
        params: executor::EchoParams,
        mut results: executor::EchoResults,
    ) -> Outcome {
        let asked = params.get()?.get_message()?.to_str()?.parse();
        let bytes = asked.map_err(|_| Error::failed("a number is asked for".into()))?;
        results.get().set_response("x".repeat(bytes));
        Ok(())
    }

    async fn run_image(
        self: Rc<Self>,
        _: executor::RunImageParams,
        mut results: executor::RunImageResults,
    ) -> Outcome {
        let process = capnp_rpc::new_client(Self::clone(&self));
        results.get().set_process(process);
        Ok(())
    }
}

impl process::Server for Gives {
    async fn bootstrap(
        self: Rc<Self>,
        _: process::BootstrapParams,
        mut results: process::BootstrapResults,
    ) -> Outcome {
        if self.many.get() > 0 {
            lend(results.get().init_cap(), self.many.get(), &self.log);
            return Ok(());
        }
        let mut given: executor::run_image_params::Builder<'_> = results.get().init_cap().init_as();
        given.set_path("x".repeat(self.bytes.get()));
        let lent = serve_executor(&self.log).client.hook;
        given.init_bootstrap().set_as_capability(lent);
        Ok(())
    }
}

/// Puts as many executors into `place`.
fn lend(place: any_pointer::Builder<'_>, many: u32, log: &Log) {
    let mut list: capability_list::Builder<'_, executor::Client> = place.initn_as(many);
    for index in 0..many {
        list.set(index, serve_executor(log).client.hook);
    }
}

/// Two vats that serve each other, and what each has of the other.
struct Both {
    vats: [Slot<Outcome>; 2],
    served: [Gives; 2],
    /// By the vat that has it.
    held: [executor::Client; 2],
    traffic: [Arc<Traffic>; 2],
}

impl Both {
    fn new() -> Self {
        Self::bounded(within())
    }

    fn bounded(limits: Limits) -> Self {
        let (up, up_end) = piper::pipe(1 << 12);
        let (down, down_end) = piper::pipe(1 << 12);
        let served = [Gives::default(), Gives::default()];
        let serve = |gives: &Gives| {
            let client: executor::Client = capnp_rpc::new_client(gives.clone());
            Some(untyped(client))
        };
        let mut vats = [
            Vat::new(up, down_end, Side::Server, serve(&served[0]), limits),
            Vat::new(down, up_end, Side::Client, serve(&served[1]), limits),
        ];
        let held = vats.each_mut().map(Vat::bootstrap);
        let traffic = vats.each_ref().map(Vat::traffic);
        Self {
            vats: vats.map(Slot::new),
            served,
            held,
            traffic,
        }
    }

    /// What comes of `work`, while the connection goes on.
    fn run<T: 'static>(&mut self, work: impl Future<Output = T> + 'static) -> T {
        let mut work = Slot::new(work);
        settle(|cx| {
            self.vats.iter_mut().for_each(|vat| vat.poll(cx));
            work.poll(cx);
        });
        assert!(self.vats.iter().all(|vat| vat.output.is_none()));
        work.output.expect("no hang")
    }

    /// How many capabilities are alive that were handed over.
    fn alive(&self) -> usize {
        self.served.iter().map(|gives| gives.log.alive()).sum()
    }
}

fn assert_too_large<T: std::fmt::Debug>(outcome: Result<T, Error>, what: &str) {
    let error = outcome.expect_err("it is too large");
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    let limit = format!("words, more than the limit of {WORDS}");
    assert!(error.extra.contains(&limit), "{error}");
    assert!(error.extra.contains(what), "{error}");
}

#[test]
fn a_call_or_an_answer_that_is_too_large_fails_and_others_do_not() {
    let mut both = Both::new();
    for side in [0, 1, 0] {
        let held = both.held[side].clone();
        assert_too_large(both.run(echo(&held, &"1".repeat(TOO_MANY))), "call");
        assert_too_large(both.run(echo(&held, &TOO_MANY.to_string())), "answer");
        // Just below.
        let bytes = TOO_MANY - 160;
        let answer = both.run(echo(&held, &bytes.to_string()));
        assert_eq!(answer.expect("it is small enough").len(), bytes);
    }
}

#[test]
fn what_came_with_a_call_that_is_too_large_is_let_go_of() {
    for awaited in [true, false] {
        let mut both = Both::new();
        assert!(both.run(echo(&both.held[0].clone(), "1")).is_ok());
        let sent = both.traffic[0].bytes_out();
        let calls = both.traffic[0].calls_out();
        for round in 0..100 {
            let log = both.served[0].log.clone();
            let mut request = both.held[0].run_image_request();
            request.get().set_path("x".repeat(TOO_MANY));
            let lent = serve_executor(&log).client.hook;
            request.get().init_bootstrap().set_as_capability(lent);
            assert_eq!(log.alive(), 1);
            let call = request.send().promise;
            if awaited {
                let outcome = both.run(async move { call.await.map(drop) });
                assert_too_large(outcome, "call");
            } else {
                drop(call);
                both.run(async {});
            }
            assert_eq!(log.alive(), 0, "{round}, awaited: {awaited}");
        }
        // The peer has heard nothing of it.
        assert_eq!(both.traffic[0].bytes_out(), sent, "awaited: {awaited}");
        assert_eq!(both.traffic[0].calls_out(), calls);
    }
}

#[test]
fn what_is_called_on_the_answer_of_a_call_that_is_too_large_fails_like_it() {
    let mut both = Both::new();
    assert!(both.run(echo(&both.held[0].clone(), "1")).is_ok());
    let mut request = both.held[0].run_image_request();
    request.get().set_path("x".repeat(TOO_MANY));
    let sent = request.send();
    let process = sent.pipeline.get_process();
    let early = process.wait_request().send().promise;
    let late = process.wait_request();
    let both_fail = async move {
        assert_too_large(sent.promise.await.map(drop), "call");
        for call in [early, late.send().promise] {
            let error = call.await.map(drop).expect_err("there is nothing to call");
            assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
        }
    };
    both.run(both_fail);
    assert!(both.run(echo(&both.held[0].clone(), "1")).is_ok());
}

#[test]
fn what_came_with_an_answer_that_is_too_large_is_let_go_of() {
    let mut both = Both::new();
    for side in [0, 1] {
        let other = 1 - side;
        let process = both.held[side].run_image_request().send();
        let process = process.pipeline.get_process();
        for (bytes, passes) in [(10, true), (TOO_MANY, false), (10, true)] {
            both.served[other].bytes.set(bytes);
            for _ in 0..100 {
                let call = process.bootstrap_request().send().promise;
                let look = async move {
                    let answer = call.await?;
                    let given: executor::run_image_params::Reader<'_> =
                        answer.get()?.get_cap().get_as()?;
                    let lent: executor::Client = given.get_bootstrap().get_as_capability()?;
                    echo(&lent, "hi").await
                };
                let outcome = both.run(look);
                if passes {
                    assert_eq!(outcome.expect("it is small enough"), "Echo: hi");
                } else {
                    assert_too_large(outcome, "answer");
                }
                // Who has let go of an answer says so in another poll.
                both.run(async {});
                assert_eq!(both.alive(), 0, "side {side}, {bytes} bytes");
            }
        }
    }
}

#[test]
fn a_call_or_an_answer_with_too_many_capabilities_fails_and_others_do_not() {
    let few = limits(|limits| limits.capabilities = 20);
    let small = limits(|limits| {
        limits.message_words = WORDS;
        limits.call_words = WORDS;
    });
    // Of these, the capabilities of the answer alone are too many.
    let answered = within();
    for (limits, fail, expected) in [
        (
            few,
            [true, true],
            "30 capabilities, more than the limit of 20",
        ),
        (small, [true, true], "words, more than the limit of 2000"),
        (
            answered,
            [false, true],
            "words, more than the limit of 2000",
        ),
    ] {
        let mut both = Both::bounded(limits);
        for side in [0, 1] {
            let held = both.held[side].clone();
            let process = held.run_image_request().send().pipeline.get_process();
            for (many, passes) in [(10, true), (30, false), (10, true)] {
                let [call_fails, answer_fails] = fail.map(|fails| fails && !passes);
                let mut request = held.run_image_request();
                lend(request.get().init_bootstrap(), many, &both.served[side].log);
                let call = request.send().promise;
                let called = both.run(async move { call.await.map(drop) });
                assert_failed(called, call_fails, "call has", expected);

                both.served[1 - side].many.set(many);
                let call = process.bootstrap_request().send().promise;
                let given = both.run(async move { call.await.map(drop) });
                assert_failed(given, answer_fails, "answer has", expected);

                both.run(async {});
                assert_eq!(both.alive(), 0, "side {side}, {many} of them");
            }
        }
    }
}

fn assert_failed(outcome: Outcome, fails: bool, what: &str, expected: &str) {
    match outcome {
        Ok(()) => assert!(!fails, "{what}: it went through"),
        Err(error) => {
            assert!(fails, "{error}");
            assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
            assert!(error.extra.contains(what), "{error}");
            assert!(error.extra.contains(expected), "{error}");
        }
    }
}

#[test]
fn a_stream_hears_of_what_is_too_large_and_others_go_on() {
    struct Sink;
    impl byte_stream::Server for Sink {
        async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Outcome {
            Ok(())
        }
        async fn finish(
            self: Rc<Self>,
            _: byte_stream::FinishParams,
            _: byte_stream::FinishResults,
        ) -> Outcome {
            Ok(())
        }
    }
    /// Has a stream to itself for each that asks.
    struct Sinks;
    impl process::Server for Sinks {
        async fn stdin(
            self: Rc<Self>,
            _: process::StdinParams,
            mut results: process::StdinResults,
        ) -> Outcome {
            results.get().set_stream(capnp_rpc::new_client(Sink));
            Ok(())
        }
    }
    let (up, up_end) = piper::pipe(1 << 12);
    let (down, down_end) = piper::pipe(1 << 12);
    let sinks: process::Client = capnp_rpc::new_client(Sinks);
    let sinks = Some(untyped(sinks));
    let server = Vat::new(up, down_end, Side::Server, sinks, within());
    let mut client = Vat::new(down, up_end, Side::Client, None, within());
    let process: process::Client = client.bootstrap();
    let work = async move {
        let open = async || {
            let answer = process.stdin_request().send().promise.await?;
            answer.get()?.get_stream()
        };
        let push = |stream: &byte_stream::Client, bytes: usize| {
            let mut request = stream.push_request();
            request.get().set_data(&vec![0; bytes]);
            request.send()
        };
        let (broken, whole) = (open().await?, open().await?);
        push(&broken, 10).await?;
        push(&broken, TOO_MANY).await?;
        // What fails shows at the next.
        while push(&broken, 10).await.is_ok() {
            futures_lite::future::yield_now().await;
        }
        assert_too_large(push(&broken, 10).await, "call");
        push(&whole, 10).await?;
        whole.finish_request().send().promise.await.map(drop)
    };
    let mut vats = [server, client].map(Slot::new);
    let mut work = Slot::new(work);
    settle(|cx| {
        vats.iter_mut().for_each(|vat| vat.poll(cx));
        work.poll(cx);
    });
    assert!(vats.iter().all(|vat| vat.output.is_none()));
    work.output
        .expect("no hang")
        .expect("the other stream goes on");
}
