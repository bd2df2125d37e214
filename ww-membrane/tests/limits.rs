//! Policies that limit how much, how fast and how long.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use capnp::{Error, ErrorKind};
use futures_lite::future::{block_on, poll_once, yield_now};
use support::steps::Net;
use support::*;
use ww_membrane::policies::{Allow, Bytes, Caretaker, InFlight, Rate};
use ww_membrane::{Direction, Fall, Membrane, Methods, Passage, Policy, Verdict};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, executor, host};

fn overloaded<T: std::fmt::Debug>(outcome: Result<T, Error>, reason: &str, case: Transport) {
    let error = outcome.expect_err("went through");
    assert_eq!(error.kind, ErrorKind::Overloaded, "{case:?}: {error}");
    assert!(error.extra.contains(reason), "{case:?}: {error}");
}

/// A clock that stands until it is set.
fn clock() -> (Rc<Cell<Duration>>, impl Fn() -> Duration + 'static) {
    let now = Rc::new(Cell::new(Duration::from_secs(100)));
    let hand = now.clone();
    (hand, move || now.get())
}

#[test]
fn calls_that_come_too_fast_are_denied() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let (hand, now) = clock();
        let pass = move |by: u64| hand.set(hand.get() + Duration::from_millis(by));
        let rate = Rate::new(now, 3, Duration::from_millis(100));
        let membrane = Membrane::policed(rate);
        over(transport, &membrane, peer(&seen), |host| async move {
            // How long to wait, how many calls pass then, and that no more do.
            let rounds = [(0, 3), (99, 0), (1, 1), (250, 2), (50, 1), (1_000_000, 3)];
            for (wait, passed) in rounds {
                pass(wait);
                for _ in 0..passed {
                    assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
                }
                overloaded(id(&host).await, "too fast", transport);
            }
        });
        assert_eq!(seen.calls.get(), 10, "{transport:?}");
    }
}

#[test]
fn a_bucket_is_never_fuller_than_it_may_be() {
    let seconds = Duration::from_secs;
    for (burst, every, waited, passed) in [
        (0, seconds(1), seconds(100), 0),
        (2, seconds(1), Duration::MAX - seconds(200), 2),
        (2, Duration::from_nanos(1), seconds(1_000_000), 2),
        (2, Duration::MAX, seconds(100), 0),
        (1, Duration::ZERO, Duration::ZERO, 1),
        (0, Duration::ZERO, seconds(1), 0),
    ] {
        let (hand, now) = clock();
        let rate = Rate::new(now, burst, every);
        let host = Membrane::policed(rate.clone()).wrap(peer(&Seen::default()));
        let spend = || async {
            let mut spent = 0;
            while spent < 5 && id(&host).await.is_ok() {
                spent += 1;
            }
            spent
        };
        block_on(async {
            let first = spend().await;
            assert_eq!(
                first,
                if every.is_zero() && burst > 0 {
                    5
                } else {
                    burst
                }
            );
            hand.set(hand.get() + waited);
            let expected = if every.is_zero() && burst > 0 {
                5
            } else {
                passed
            };
            assert_eq!(spend().await, expected, "{burst} {every:?} {waited:?}");
            // A clock that goes back adds nothing, and breaks nothing.
            hand.set(Duration::ZERO);
            let after = spend().await;
            assert_eq!(after, if every.is_zero() && burst > 0 { 5 } else { 0 });
        });
    }
}

#[test]
fn clones_take_from_one_bucket() {
    let (_, now) = clock();
    let rate = Rate::new(now, 3, Duration::from_secs(1));
    let (one, other) = (Membrane::policed(rate.clone()), Membrane::policed(rate));
    block_on(async {
        let one = one.wrap(peer(&Seen::default()));
        let other = other.wrap(peer(&Seen::default()));
        assert!(id(&one).await.is_ok() && id(&other).await.is_ok());
        assert!(id(&one).await.is_ok());
        overloaded(id(&other).await, "too fast", Transport::Local);
    });
}

#[test]
fn messages_of_both_directions_share_a_budget() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let budget = Bytes::new(2000);
        let left = budget.clone();
        let inside: executor::Client = capnp_rpc::new_client(Runner(seen.clone()));
        let membrane = Membrane::policed(budget);
        let calls = seen.clone();
        over(transport, &membrane, inside, |executor| async move {
            let message = "x".repeat(600);
            let answer = echo(&executor, &message).await.unwrap();
            assert_eq!(answer.len(), 606, "{transport:?}");
            // Root, struct of one pointer, text with its zero: call and answer.
            let spent = (8 + 8 + 608) + (8 + 8 + 608);
            assert_eq!(left.left(), 2000 - spent, "{transport:?}");

            // The call fits, its answer does not: executed and withheld.
            let outcome = echo(&executor, &message).await;
            overloaded(outcome, "an answer of 624 bytes does not fit", transport);
            assert_eq!(calls.calls.get(), 2, "{transport:?}");
            // Not even the call fits: not executed.
            let outcome = echo(&executor, &message).await;
            overloaded(outcome, "a call of 624 bytes does not fit", transport);
            assert_eq!(calls.calls.get(), 2, "{transport:?}");
            // What is smaller does.
            assert_eq!(echo(&executor, "hi").await.unwrap(), "Echo: hi");
            left.add(2000);
            assert!(echo(&executor, &message).await.is_ok(), "{transport:?}");
        });
    }
}

#[test]
fn callbacks_spend_the_same_budget() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let budget = Bytes::new(10_000);
        let left = budget.clone();
        let keeper: program::Client = capnp_rpc::new_client(Keeper(seen.clone()));
        let membrane = Membrane::policed(budget);
        over(transport, &membrane, keeper, |keeper| async move {
            let callback: executor::Client = capnp_rpc::new_client(Runner(Seen::default()));
            let mut request = keeper.spawn_request();
            let hook = callback.client.hook;
            request.get().init_bootstrap().set_as_capability(hook);
            request.send().promise.await.unwrap();
            let kept = seen.callback.borrow().clone().unwrap();
            let kept: executor::Client = capnp::capability::FromClientHook::cast_to(kept);
            let before = left.left();
            assert_eq!(echo(&kept, "hi").await.unwrap(), "Echo: hi");
            assert_eq!(before - left.left(), 24 + 32, "{transport:?}");
            let outcome = echo(&kept, &"x".repeat(20_000)).await;
            overloaded(outcome, "a call of 20024 bytes", transport);
        });
    }
}

#[test]
fn a_caretaker_suspends_and_resumes() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let caretaker = Caretaker::new();
        let allow = Allow::new()
            .method(host::Client::id_request)
            .method(host::Client::addrs_request);
        let membrane = Membrane::policed((caretaker.clone(), allow));
        over(transport, &membrane, peer(&seen), |host| async move {
            let mut pending = host.addrs_request().send().promise;
            while seen.waiting.get() == 0 {
                assert!(poll_once(&mut pending).await.is_none());
                futures_lite::future::yield_now().await;
            }
            caretaker.suspend(Error::overloaded("back at noon".into()));
            overloaded(id(&host).await, "back at noon", transport);
            // What was in flight goes on.
            assert_eq!(seen.waiting.get(), 1, "{transport:?}");
            caretaker.resume();
            assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");

            caretaker.revoke(Error::disconnected("closed".into()));
            // Across a connection it learns of it with the next messages.
            until(|| seen.waiting.get() == 0).await;
            caretaker.resume();
            let error = id(&host).await.unwrap_err();
            assert_eq!(
                error.kind,
                ErrorKind::Disconnected,
                "{transport:?}: {error}"
            );
            assert!(error.extra.contains("closed"), "{transport:?}: {error}");
        });
        let Some(Fall::Revoked(error)) = membrane.fall() else {
            panic!("{transport:?}: {:?}", membrane.fall());
        };
        assert_eq!(error.extra, "closed");
    }
}

#[test]
fn a_caretaker_revokes_all_that_it_looks_after_and_will() {
    let seen = Seen::default();
    let (lent, caretaker) = Caretaker::lend(peer(&seen));
    let held: Vec<_> = (0..3)
        .map(|_| Membrane::policed(caretaker.clone()).wrap(peer(&seen)))
        .collect();
    // One that is gone by then; the caretaker does not keep it.
    let gone = Membrane::policed(caretaker.clone()).wrap(peer(&seen));
    drop(gone);
    assert_eq!(seen.dropped.get(), 1);
    block_on(async {
        assert!(id(&lent).await.is_ok() && id(&held[2]).await.is_ok());
        caretaker.revoke(Error::disconnected("enough".into()));
        caretaker.revoke(Error::failed("once more".into()));
        caretaker.suspend(Error::failed("no".into()));
        assert_eq!(seen.dropped.get(), 5, "all let go at once");
        let late = Membrane::policed(caretaker.clone()).wrap(peer(&seen));
        for host in held.iter().chain([&lent, &late]) {
            let error = id(host).await.unwrap_err();
            assert_eq!(error.extra, "enough");
        }
    });
}

#[test]
fn what_limits_composes_in_any_order() {
    for transport in TRANSPORTS {
        let (_, now) = clock();
        let (caretaker, budget) = (Caretaker::new(), Bytes::new(200));
        let flight = InFlight::new(1);
        let rate = Rate::new(now, 9, Duration::from_secs(1));
        let policy = (caretaker.clone(), ((budget, rate), flight.clone()));
        let membrane = Membrane::policed(policy);
        let told = membrane.authority().policy.unwrap();
        assert_eq!(
            told,
            "revocable; 200 bytes left; one call every 1s, 9 at once; 0 of 1 calls in flight"
        );
        let inside: executor::Client = capnp_rpc::new_client(Runner(Seen::default()));
        over(transport, &membrane, inside, |executor| async move {
            assert_eq!(echo(&executor, "hi").await.unwrap(), "Echo: hi");
            let outcome = echo(&executor, &"x".repeat(200)).await;
            overloaded(outcome, "does not fit the budget", transport);
            assert_eq!(
                flight.count(),
                0,
                "{transport:?}: a denied call holds nothing"
            );
            caretaker.revoke(Error::overloaded("shut".into()));
            overloaded(echo(&executor, "hi").await, "shut", transport);
        });
    }
}

/// Counts what is pushed.
struct Pushed(Seen);

impl byte_stream::Server for Pushed {
    async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Result<(), Error> {
        self.0.calls.set(self.0.calls.get() + 1);
        Ok(())
    }

    async fn finish(
        self: Rc<Self>,
        _: byte_stream::FinishParams,
        _: byte_stream::FinishResults,
    ) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_stream_that_does_not_fit_the_budget_stays_denied() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let budget = Bytes::new(1000);
        let more = budget.clone();
        let allow = Allow::new()
            .method(byte_stream::Client::push_request)
            .method(byte_stream::Client::finish_request);
        let membrane = Membrane::policed((allow, budget));
        let pushed = seen.clone();
        let inside: byte_stream::Client = capnp_rpc::new_client(Pushed(seen.clone()));
        over(transport, &membrane, inside, |stream| async move {
            let push = |bytes: usize| {
                let mut request = stream.push_request();
                request.get().set_data(&vec![0; bytes]);
                request.send()
            };
            push(400).await.unwrap();
            push(400).await.unwrap();
            // The sender of a stream hears of it now or at its end.
            let _ = push(400).await;
            let finish = || stream.finish_request().send().promise;
            let denied = finish().await.map(drop);
            overloaded(denied, "does not fit", transport);
            // What fits now does not mend it.
            more.add(1_000_000);
            let _ = push(8).await;
            let denied = finish().await.map(drop);
            overloaded(denied, "does not fit", transport);
            until(|| pushed.calls.get() == 2).await;
        });
        assert_eq!(seen.calls.get(), 2, "{transport:?}");
    }
}

#[test]
fn what_a_parent_limits_its_children_share() {
    for transport in TRANSPORTS {
        let (whole, part) = (Bytes::new(1000), Bytes::new(200));
        let parent = Membrane::policed(whole.clone());
        let child = parent.child((part.clone(), Caretaker::new()));
        let inside: executor::Client = capnp_rpc::new_client(Runner(Seen::default()));
        let told = child.authority().policy.unwrap();
        assert_eq!(told, "1000 bytes left; 200 bytes left; revocable");
        over(transport, &child, inside, |executor| async move {
            assert_eq!(echo(&executor, "hi").await.unwrap(), "Echo: hi");
            assert_eq!((whole.left(), part.left()), (1000 - 56, 200 - 56));
            let outcome = echo(&executor, &"x".repeat(300)).await;
            overloaded(outcome, "of which 144 are left", transport);
        });
    }
}

#[test]
fn a_caretaker_of_a_child_leaves_the_parent() {
    let caretaker = Caretaker::new();
    let parent = Membrane::ungated();
    let child = parent.child(caretaker.clone());
    block_on(async {
        let own = parent.wrap(peer(&Seen::default()));
        let lent = child.wrap(peer(&Seen::default()));
        caretaker.revoke(Error::failed("enough".into()));
        assert_eq!(id(&lent).await.unwrap_err().extra, "enough");
        assert_eq!(id(&own).await.unwrap(), b"peer");
    });
}

#[test]
fn what_is_streamed_spends_the_budget() {
    for transport in TRANSPORTS {
        let seen = Seen::default();
        let budget = Bytes::new(10_000);
        let methods = Methods::new().method(byte_stream::Client::push_request);
        let membrane = Membrane::policed((methods, budget.clone()));
        let inside: byte_stream::Client = capnp_rpc::new_client(Pushed(seen.clone()));
        over(transport, &membrane, inside, |stream| async move {
            for pushed in 1..=2 {
                let mut request = stream.push_request();
                request.get().init_data(1000);
                request.send().await.unwrap();
                until(|| seen.calls.get() == pushed).await;
            }
            // Root, struct of one pointer, data. What comes back of a stream is
            // nothing but the root, and may be looked at later.
            assert!(budget.left() <= 10_000 - 2 * 1016, "{transport:?}");
        });
    }
}

/// Answers `executor` early, and `id` with what is written after its pipeline
/// was set.
struct Early(Seen);

impl host::Server for Early {
    async fn executor(
        self: Rc<Self>,
        _: host::ExecutorParams,
        mut results: host::ExecutorResults,
    ) -> Result<(), Error> {
        let runner = capnp_rpc::new_client(Runner(self.0.clone()));
        results.get().set_executor(runner);
        results.set_pipeline()?;
        self.0.waiting.set(1);
        until(|| self.0.waiting.get() == 0).await;
        Ok(())
    }

    async fn id(
        self: Rc<Self>,
        _: host::IdParams,
        mut results: host::IdResults,
    ) -> Result<(), Error> {
        results.get();
        results.set_pipeline()?;
        results.get().set_peer_id(b"peer");
        Ok(())
    }
}

#[derive(Default)]
struct Weighed {
    answers: std::cell::RefCell<Vec<(u64, u32)>>,
    refuses: Cell<bool>,
}

impl Policy for Weighed {
    fn inbound(&self, _: &ww_membrane::Call) -> Verdict {
        Verdict::pass()
    }

    fn weighs(&self) -> bool {
        true
    }

    fn weigh(&self, passage: &Passage) -> Result<(), Error> {
        if passage.is_answer() {
            assert_eq!(passage.direction(), Direction::Outward);
            let answer = (passage.bytes(), passage.capabilities());
            self.answers.borrow_mut().push(answer);
            if self.refuses.get() {
                return Err(Error::overloaded("too heavy".into()));
            }
        }
        Ok(())
    }
}

#[test]
fn an_early_pipeline_is_weighed_when_it_is_set_and_once() {
    for transport in [Transport::Local, Transport::Exported] {
        let seen = Seen::default();
        let weighed = Rc::new(Weighed::default());
        let membrane = Membrane::policed(weighed.clone());
        let view = membrane.clone();
        let inside: host::Client = capnp_rpc::new_client(Early(seen.clone()));
        over(transport, &membrane, inside, |host| async move {
            let mut answer = host.executor_request().send().promise;
            while seen.waiting.get() == 0 {
                assert!(poll_once(&mut answer).await.is_none(), "{transport:?}");
                yield_now().await;
            }
            assert_eq!(*weighed.answers.borrow(), [(16, 1)], "{transport:?}");
            seen.waiting.set(0);
            answer.await.unwrap();
            assert_eq!(*weighed.answers.borrow(), [(16, 1)], "{transport:?}");

            // What comes after it is weighed by itself.
            weighed.answers.take();
            assert_eq!(id(&host).await.unwrap(), b"peer", "{transport:?}");
            assert_eq!(*weighed.answers.borrow(), [(16, 0), (8, 0)]);

            // What may not cross does not cross early.
            weighed.refuses.set(true);
            until(|| view.held() == 1).await;
            let sent = host.executor_request().send();
            let early = sent.pipeline.get_executor();
            overloaded(echo(&early, "hi").await, "too heavy", transport);
            let outcome = sent.promise.await.map(|_| ());
            overloaded(outcome, "too heavy", transport);
            assert_eq!(view.held(), 1, "{transport:?}");
            assert_eq!((seen.waiting.get(), seen.calls.get()), (0, 0));
        });
    }
}

/// Takes and gives a fixed number of bytes.
struct Fixed(usize);

impl byte_stream::Server for Fixed {
    async fn read(
        self: Rc<Self>,
        _: byte_stream::ReadParams,
        mut results: byte_stream::ReadResults,
    ) -> Result<(), Error> {
        results.get().init_data(self.0 as u32);
        Ok(())
    }

    async fn write(
        self: Rc<Self>,
        params: byte_stream::WriteParams,
        _: byte_stream::WriteResults,
    ) -> Result<(), Error> {
        assert_eq!(params.get()?.get_data()?.len(), self.0);
        Ok(())
    }

    async fn push(self: Rc<Self>, _: byte_stream::PushParams) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn the_largest_message_passes_though_it_is_weighed_on_its_way() {
    const WORDS: usize = 1000;
    // The rest is for what is around the data.
    const DATA: usize = (WORDS - 40) * 8;
    for before in 0..3 {
        for after in 0..3 {
            let case = format!("{before} before the hop, {after} after");
            let net = &mut Net::default();
            net.limits.message_words = WORDS;
            let budget = Bytes::new(u64::MAX);
            let wrap = |inside: byte_stream::Client, times| {
                (0..times).fold(inside, |inside, _| {
                    Membrane::policed(budget.clone()).wrap(inside)
                })
            };
            let inside = wrap(capnp_rpc::new_client(Fixed(DATA)), before);
            let host = net.connect(inside);
            let outside = net.connect(wrap(host.clone(), after));
            for stream in [wrap(host, after), outside] {
                let (outcome, _) = net.hops(async {
                    let mut request = stream.write_request();
                    request.get().init_data(DATA as u32);
                    request.send().promise.await?;
                    let answer = stream.read_request().send().promise.await?;
                    Ok::<_, Error>(answer.get()?.get_data()?.len())
                });
                assert_eq!(outcome.expect(&case), DATA, "{case}");
            }
        }
    }
}

#[test]
fn what_is_too_large_for_a_message_fails_alone_on_either_side_of_a_membrane() {
    const WORDS: usize = 1000;
    const DATA: usize = WORDS * 8;
    for before in 0..2 {
        for after in 0..2 {
            let net = &mut Net::default();
            net.limits.message_words = WORDS;
            let wrap = |inside: byte_stream::Client, times| {
                (0..times).fold(inside, |inside, _| Membrane::ungated().wrap(inside))
            };
            let inside = wrap(capnp_rpc::new_client(Fixed(DATA)), before);
            let host = net.connect(inside);
            // Over one connection, and over two.
            let outside = net.connect(wrap(host.clone(), after));
            for stream in [wrap(host, after), outside] {
                let write = async |bytes: usize| {
                    let mut request = stream.write_request();
                    request.get().init_data(bytes as u32);
                    request.send().promise.await.map(drop)
                };
                let push = async |bytes: usize| {
                    let mut request = stream.push_request();
                    request.get().init_data(bytes as u32);
                    request.send().await
                };
                let (outcomes, _) = net.hops(async {
                    let written = write(DATA).await;
                    let read = stream.read_request().send().promise.await.map(drop);
                    let small = stream.close_request().send().promise.await.map(drop);
                    let mut pushed = push(DATA).await;
                    while pushed.is_ok() {
                        pushed = push(1).await;
                        yield_now().await;
                    }
                    ([written, read, pushed], small)
                });
                let (too_large, small) = outcomes;
                for outcome in too_large {
                    overloaded(outcome, "words, more than the limit", Transport::Imported);
                }
                let error = small.expect_err("nobody serves it");
                assert_eq!(error.kind, ErrorKind::Unimplemented, "{error}");
            }
        }
    }
}

#[test]
fn what_never_answers_keeps_its_connection_where_each_caller_is_limited() {
    let seen = Seen::default();
    let mut net = Net::default();
    // Each caller may have as many in flight as what it calls takes of all together.
    net.limits.calls = 10;
    let served = net.connect(peer(&seen));
    let callers = [4, 4].map(|most| {
        let membrane = Membrane::policed(InFlight::new(most));
        net.connect(membrane.wrap(served.clone()))
    });
    let calls: Vec<_> = callers
        .iter()
        .flat_map(|host| (0..8).map(|_| host.addrs_request().send().promise))
        .collect();
    net.settle();
    assert_eq!(seen.waiting.get(), 8, "four of each caller's");
    let waits = |call| async move { poll_once(call).await.is_none() };
    let (waiting, _) = net.hops(async {
        let mut waiting = 0;
        for call in calls {
            waiting += usize::from(waits(call).await);
        }
        waiting
    });
    assert_eq!(waiting, 8, "the others have failed alone");
    let (answered, _) = net.hops(id(&served));
    assert_eq!(answered.expect("the connection goes on"), b"peer");
}
