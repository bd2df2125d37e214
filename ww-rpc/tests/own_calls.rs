//! Calls of our own beyond what the peer takes: each fails alone.

mod support;

use capnp::{ErrorKind, capability_list};
use futures_lite::future;
use support::peer::limits;
use support::{
    Log, Outcome, Pair, Slot, echo, executor_of, never_answered, pair_within, serve_executor,
    settle,
};
use ww_rpc::Limits;
use ww_rpc::peer_capnp::{executor, host};

const MOST: usize = 10;

/// Two vats, of which each may have so many calls in flight at the other.
struct Both {
    vats: Slot<(Outcome, Outcome)>,
    host: host::Client,
}

impl Both {
    fn new() -> Self {
        Self::bounded(within())
    }

    fn bounded(limits: Limits) -> Self {
        let Pair {
            mut client, server, ..
        } = pair_within(limits);
        let host = client.bootstrap();
        let mut both = Self {
            vats: Slot::new(future::zip(client, server)),
            host,
        };
        both.settle::<()>(&mut []);
        both
    }

    fn settle<T>(&mut self, calls: &mut [Slot<T>]) {
        settle(|cx| {
            self.vats.poll(cx);
            calls.iter_mut().for_each(|call| call.poll(cx));
        });
        assert!(self.vats.output.is_none(), "{:?}", self.vats.output);
    }

    /// How many of the calls are not sent, for this reason, where all others are answered.
    fn refused<T>(&mut self, mut calls: Vec<Slot<Result<T, capnp::Error>>>, reason: &str) -> usize {
        self.settle(&mut calls);
        let outcomes = calls.into_iter().map(|call| call.output);
        let outcomes = outcomes.map(|output| output.expect("it is answered or fails"));
        let errors: Vec<_> = outcomes.filter_map(Result::err).collect();
        for error in &errors {
            assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
            assert!(error.extra.contains(reason), "{error}");
        }
        errors.len()
    }

    /// Whether a call is answered.
    fn answers(&mut self) -> bool {
        let mut call = [Slot::new(echo(&executor_of(&self.host), "there?"))];
        self.settle(&mut call);
        let [call] = call;
        match call.output.expect("it is answered or fails") {
            Ok(_) => true,
            Err(error) => {
                assert_refused(&error);
                false
            }
        }
    }
}

fn within() -> Limits {
    limits(|limits| {
        limits.calls = MOST;
        limits.own_calls = MOST;
    })
}

fn assert_refused(error: &capnp::Error) {
    assert_eq!(error.kind, ErrorKind::Overloaded, "{error}");
    let texts = [
        "10 calls are in flight",
        "the answer of one that is not sent",
    ];
    let told = texts.iter().any(|text| error.extra.contains(text));
    assert!(told, "{error}");
}

#[test]
fn a_call_too_many_fails_alone() {
    let mut both = Both::new();
    let executor = executor_of(&both.host);
    both.settle::<()>(&mut []);
    let mut calls: Vec<_> = (0..3 * MOST)
        .map(|_| Slot::new(never_answered(&executor)))
        .collect();
    both.settle(&mut calls);
    let (failed, waiting): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| call.output.is_some());
    // The bootstrap, and the answer that the executor came with, are kept.
    assert!(
        (MOST - 2..MOST).contains(&waiting.len()),
        "{}",
        waiting.len()
    );
    for call in failed {
        let refused = call.output.expect("it has failed");
        assert_refused(&refused.expect_err("nobody answers"));
    }
    assert!(!both.answers(), "nor what is pipelined");
    drop(waiting);
    both.settle::<()>(&mut []);
    assert!(both.answers());
}

#[test]
fn an_answer_that_is_kept_counts_until_it_is_let_go_of() {
    let mut both = Both::new();
    let mut kept = Vec::new();
    while kept.len() < 2 * MOST {
        let mut call = [Slot::new(both.host.executor_request().send().promise)];
        both.settle(&mut call);
        let [call] = call;
        match call.output.expect("it is answered or fails") {
            Ok(answer) => kept.push(answer),
            Err(error) => {
                assert_refused(&error);
                break;
            }
        }
    }
    assert!((MOST - 2..=MOST).contains(&kept.len()), "{}", kept.len());
    for _ in 0..3 {
        assert!(!both.answers());
    }
    kept.truncate(kept.len() - 2);
    both.settle::<()>(&mut []);
    for _ in 0..3 * MOST {
        assert!(both.answers());
    }
}

#[test]
fn calls_of_too_many_words_together_fail_alone() {
    let mut both = Both::bounded(limits(|limits| limits.call_words = 1000));
    let host = both.host.clone();
    let calls = |many| -> Vec<_> {
        let executor = executor_of(&host);
        let call = |_| Slot::new(echo(&executor, &"x".repeat(8 * 300)));
        (0..many).map(call).collect()
    };
    for _ in 0..3 {
        assert_eq!(both.refused(calls(5), "more than the limit of 1000"), 2);
        assert_eq!(both.refused(calls(1), ""), 0);
    }
}

#[test]
fn calls_that_would_wait_behind_too_much_that_is_unread_fail_alone() {
    let mut both = Both::bounded(limits(|limits| limits.queue_words = 3000));
    let executor = executor_of(&both.host);
    both.settle::<()>(&mut []);
    for _ in 0..3 {
        // They are made in one turn, so that nobody reads in between.
        let call = |_| Slot::new(echo(&executor, &"x".repeat(8 * 1000)));
        let calls: Vec<_> = (0..5).map(call).collect();
        assert_eq!(both.refused(calls, "that the peer has not read"), 3);
    }
}

#[test]
fn calls_with_more_capabilities_than_the_peer_may_hold_fail_alone() {
    let mut both = Both::bounded(limits(|limits| limits.exports = 50));
    let executor = executor_of(&both.host);
    both.settle::<()>(&mut []);
    let log = Log::default();
    for _ in 0..3 {
        let call = |_| {
            let mut request = executor.run_image_request();
            let place = request.get().init_bootstrap();
            let mut list: capability_list::Builder<'_, executor::Client> = place.initn_as(20);
            for index in 0..20 {
                list.set(index, serve_executor(&log).client.hook);
            }
            let answer = request.send().promise;
            Slot::new(async move {
                match answer.await {
                    Err(error) if error.kind == ErrorKind::Unimplemented => Ok(()),
                    other => other.map(drop),
                }
            })
        };
        let calls: Vec<_> = (0..5).map(call).collect();
        assert_eq!(both.refused(calls, "more than the limit of 50"), 3);
        assert_eq!(log.alive(), 0, "what was not sent is let go of");
    }
}

#[test]
fn calls_that_are_let_go_of_make_room() {
    let mut both = Both::new();
    let executor = executor_of(&both.host);
    for _ in 0..10 * MOST {
        let mut calls = [Slot::new(never_answered(&executor))];
        both.settle(&mut calls);
        assert!(calls[0].output.is_none());
    }
    assert!(both.answers());
}
