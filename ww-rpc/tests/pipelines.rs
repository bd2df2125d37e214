//! Calls that are pipelined on one another: as deep as they may be, and no
//! deeper.

mod support;

use support::peer::{HANGS, Served, bootstrap, call, finish, limits};
use support::settle;
use ww_rpc::Limits;

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
fn the_longest_pipelines_end_in_any_way_on_a_small_stack() {
    let run = || {
        let finishes = || (1..=5_000).flat_map(finish).collect::<Vec<_>>();
        for chain in [chain, chain_of_parameters] {
            for length in [32, 33, 5_000] {
                let mut dropped = Served::new(Limits::default());
                dropped.say(chain(length));
                assert_eq!(dropped.lives(), length == 32);
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
                assert_eq!(finished.lives(), length == 32);
                assert_eq!(finished.log.alive(), usize::from(length == 32));
            }
        }
    };
    // Half of what a thread has by default.
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run);
    thread.expect("thread").join().expect("no panic");
}
