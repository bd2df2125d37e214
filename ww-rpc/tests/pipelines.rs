//! Calls that are pipelined on one another: as deep as they may be, and no
//! deeper.

mod support;

use std::future::pending;
use std::rc::Rc;

use support::peer::{HANGS, Served, bootstrap, call, call_with, finish, limits, to_answer};
use support::{Log, Outcome, settle};
use ww_rpc::Limits;
use ww_rpc::peer_capnp::executor;

/// What a peer says of a length.
type Says = fn(u32) -> Vec<u8>;

/// Calls 1 to `length`, each on the answer to the one before.
fn chain(length: u32) -> Vec<u8> {
    let calls = (1..=length).map(|id| call(id, HANGS, id - 1, &[], ""));
    [bootstrap(0)].into_iter().chain(calls).flatten().collect()
}

/// The same, with the answers passed as parameters of calls on the bootstrap.
fn chain_of_parameters(length: u32) -> Vec<u8> {
    let calls = (1..=length).map(|id| {
        let params: Vec<u32> = (1..id).rev().take(2).collect();
        call(id, HANGS, 0, &params, "")
    });
    [bootstrap(0)].into_iter().chain(calls).flatten().collect()
}

/// Calls 1 to `length`, each with a promise that resolves to the answer to the
/// next one; `length` links, the last to a call without.
fn chain_of_promises(length: u32) -> Vec<u8> {
    let calls = (0..=length).map(|link| call_with(link + 1, HANGS, &[link]));
    let links = (0..length).map(|link| to_answer(link, link + 2));
    let said = [bootstrap(0)].into_iter().chain(calls).chain(links);
    said.flatten().collect()
}

#[test]
fn a_pipeline_of_the_limit_passes_and_one_call_more_does_not() {
    for (name, chain) in [
        ("targets", chain as Says),
        ("parameters", chain_of_parameters),
    ] {
        for depth in [1, 3, 32] {
            let limits = limits(|limits| limits.pipeline_depth = depth);
            let mut served = Served::new(limits);
            served.say(chain(depth));
            assert!(served.lives(), "{name}, {depth}");
            assert!(served.log.alive() > 1, "{name}, {depth}: called");
            drop(served.vat);
            assert_eq!(served.log.alive(), 0, "{name}, {depth}: something leaked");

            let mut served = Served::new(limits);
            served.say(chain(depth + 1));
            let expected = format!("more than the limit of {depth}");
            served.assert_overloaded(name, &expected);
        }
    }
}

#[test]
fn promises_resolve_to_as_many_calls_as_they_may_and_no_more() {
    for most in [1, 3, 64] {
        let limits = limits(|limits| limits.resolutions = most);
        let mut served = Served::new(limits);
        served.say(chain_of_promises(most));
        assert!(served.lives(), "{most}");
        // A call that is finished with makes room, once nobody holds it.
        served.say((1..=most + 1).flat_map(finish).collect());
        assert_eq!(served.log.alive(), 1, "{most}: cancelled");
        let again = call_with(500, HANGS, &[500]);
        let again = [again, call_with(501, HANGS, &[]), to_answer(500, 501)];
        served.say(again.concat());
        assert!(served.lives(), "{most}");
        drop(served.vat);
        assert_eq!(served.log.alive(), 0, "{most}: something leaked");

        let mut served = Served::new(limits);
        served.say(chain_of_promises(most + 1));
        let expected = format!("more than the limit of {most}");
        served.assert_overloaded("promises", &expected);
    }
}

/// Lets go of its parameters, and never answers.
struct Forgetful(Log);

impl executor::Server for Forgetful {
    async fn run_bytes(
        self: Rc<Self>,
        params: executor::RunBytesParams,
        _results: executor::RunBytesResults,
    ) -> Outcome {
        drop(params);
        let _held = self.0.clone();
        pending().await
    }
}

#[test]
fn calls_that_let_go_of_their_parameters_count_until_they_are_answered() {
    const MOST: u32 = 3;
    let limits = limits(|limits| limits.resolutions = MOST);
    for finished in [false, true] {
        let forgetful = |log: &Log| capnp_rpc::new_client(Forgetful(log.clone()));
        let (mut served, ()) = Served::serving(limits, forgetful, |_| ());
        served.say(chain_of_promises(MOST));
        assert!(served.lives(), "finished: {finished}");
        if finished {
            // They may have been kept running.
            served.say((1..=MOST + 1).flat_map(finish).collect());
            assert!(served.lives());
        }
        served.say([call_with(500, HANGS, &[500]), to_answer(500, 500)].concat());
        let expected = format!("more than the limit of {MOST}");
        served.assert_overloaded("forgetful", &expected);
    }
}

#[test]
fn the_longest_pipelines_end_in_any_way_on_a_small_stack() {
    let run = || {
        // The first one last: it holds all others where promises lead to them.
        let finishes = || (1..=5_000).rev().flat_map(finish).collect::<Vec<_>>();
        let chains: [(Says, u32); 3] = [
            (chain, 32),
            (chain_of_parameters, 32),
            (chain_of_promises, 64),
        ];
        for (chain, longest) in chains {
            for length in [longest, longest + 1, 4_000] {
                let mut dropped = Served::new(Limits::default());
                dropped.say(chain(length));
                assert_eq!(dropped.lives(), length == longest);
                dropped.vat.cancel();
                assert_eq!(dropped.log.alive(), 0);

                let mut ended = Served::new(Limits::default());
                ended.say(chain(length));
                ended.to_vat = None;
                settle(|cx| ended.vat.poll(cx));
                assert!(!ended.lives());
                assert_eq!(ended.log.alive(), 0);

                let mut finished = Served::new(Limits::default());
                finished.say([chain(length), finishes()].concat());
                assert_eq!(finished.lives(), length == longest);
                assert_eq!(finished.log.alive(), usize::from(length == longest));
            }
        }
    };
    // Half of what a thread has by default.
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
    thread.expect("thread").join().expect("no panic");
}
