//! Calls of our own beyond those that the peer takes: each fails alone.

mod support;

use capnp::ErrorKind;
use futures_lite::future;
use support::peer::limits;
use support::{Outcome, Pair, Slot, echo, executor_of, never_answered, pair_within, settle};
use ww_rpc::Limits;
use ww_rpc::peer_capnp::host;

const MOST: usize = 10;

/// Two vats, of which each may have so many calls in flight at the other.
struct Both {
    vats: Slot<(Outcome, Outcome)>,
    host: host::Client,
}

impl Both {
    fn new() -> Self {
        let Pair {
            mut client, server, ..
        } = pair_within(within());
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
