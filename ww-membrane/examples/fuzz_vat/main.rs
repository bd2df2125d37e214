//! Feeds vats what a peer may say, for as long as it is told to:
//! `fuzz_vat TARGET SECONDS [SEED [INPUT]]`.
//!
//! The target `made` is a peer that makes up messages which fit the conversation
//! for the most part; `circles` is one that also resolves its promises to, and
//! answers with, what it has of the vat, so that they lead back to themselves;
//! and `relayed` is two vats with somebody between them who changes, loses,
//! repeats and swaps what they say to each other. There is a membrane between
//! each vat and what runs on it, as there is around each cell.
//!
//! A finding is a panic, or an input that takes too long. The seed and the
//! number of the input are told with it, and make it again.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a tool for the command line, which fails by panicking"
)]

mod app;
mod chance;
mod node;
mod peer;
mod settle;
mod side;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use capnp_rpc::rpc_capnp::message;
use chance::Chance;
use peer::Peer;
use side::Side;

/// Longer than any input takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether to print what is said, because only one input is tried.
static ALOUD: AtomicBool = AtomicBool::new(false);

fn main() {
    let args: Vec<_> = env::args().collect();
    let [_, target, seconds, rest @ ..] = &args[..] else {
        panic!("fuzz_vat TARGET SECONDS [SEED [INPUT]]");
    };
    let seed = rest.first().map_or(1, |seed| seed.parse().unwrap());
    let first = rest.get(1).map(|input| input.parse().unwrap());
    ALOUD.store(first.is_some(), Ordering::Relaxed);
    let try_one: fn(&mut Chance) = match target.as_str() {
        "made" => |chance| made(chance, false),
        "circles" => |chance| made(chance, true),
        "relayed" => relayed,
        other => panic!("no target {other}"),
    };
    let inputs = Arc::new(AtomicU64::new(first.unwrap_or(0)));
    watch(target.clone(), seed, inputs.clone());
    let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let told = Telling(target, seed, &inputs);
    while Instant::now() < end {
        let input = inputs.load(Ordering::Relaxed);
        if input.is_multiple_of(100_000) {
            println!("{target}: seed {seed}, input {input}");
        }
        try_one(&mut Chance::of(seed, input));
        inputs.store(input + 1, Ordering::Relaxed);
        if first.is_some() {
            break;
        }
    }
    std::mem::forget(told);
    let inputs = inputs.load(Ordering::Relaxed);
    println!("{target}: seed {seed}, {inputs} inputs in {seconds} s, no finding");
}

/// Ends the process when the same input has been tried for too long.
fn watch(target: String, seed: u64, inputs: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        loop {
            let before = inputs.load(Ordering::Relaxed);
            std::thread::sleep(PATIENCE);
            if inputs.load(Ordering::Relaxed) == before {
                eprintln!("{target}: seed {seed}, input {before} does not end");
                std::process::abort();
            }
        }
    });
}

/// Says which input it was when it is dropped by a panic.
struct Telling<'a>(&'a str, u64, &'a AtomicU64);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let Self(target, seed, input) = self;
        eprintln!(
            "{target}: seed {seed}, input {}",
            input.load(Ordering::Relaxed)
        );
    }
}

fn made(chance: &mut Chance, circles: bool) {
    let mut side = Side::new(chance, ww_rpc::Side::Server);
    let mut peer = Peer::new(circles);
    for _ in 0..chance.below(60) {
        if !side.lives() {
            break;
        }
        let mut bytes = Vec::new();
        for _ in 0..chance.below(4) {
            bytes.extend(peer.say(chance));
        }
        if chance.one_in(150) {
            chance.mutate(&mut bytes);
        }
        if chance.one_in(3) {
            side.act(chance);
        }
        tell("peer", &bytes);
        let heard = side.say(&bytes);
        tell("vat", &heard);
        // A peer that does not read for a while learns later what it has.
        peer.hear(&heard);
    }
    side.end(chance, circles);
}

fn relayed(chance: &mut Chance) {
    let mut sides =
        [ww_rpc::Side::Client, ww_rpc::Side::Server].map(|side| Side::new(chance, side));
    let mut said = [Vec::new(), Vec::new()];
    // Mostly faithful, or nothing would ever be far along.
    let meddling = [10, 100, 1000][chance.below(3)];
    for _ in 0..chance.below(100) {
        let at = chance.below(2);
        if chance.one_in(2) {
            sides[at].act(chance);
        }
        let heard = std::mem::take(&mut said[1 - at]);
        let heard = meddle(chance, meddling, &heard);
        tell(["to client", "to server"][at], &heard);
        let answer = sides[at].say(&heard);
        said[at].extend(answer);
    }
    for side in sides {
        side.end(chance, false);
    }
}

fn tell(who: &str, mut said: &[u8]) {
    while ALOUD.load(Ordering::Relaxed) && !said.is_empty() {
        match capnp::serialize::read_message(&mut said, Default::default()) {
            Ok(read) => println!("{who}: {:?}", read.get_root::<message::Reader<'_>>()),
            Err(error) => return println!("{who}: {error}"),
        }
    }
}

/// What becomes of `bytes` on the way.
fn meddle(chance: &mut Chance, one_in: usize, bytes: &[u8]) -> Vec<u8> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let before = rest;
        match capnp::serialize::read_message(&mut rest, Default::default()) {
            Ok(_) => messages.push(before[..before.len() - rest.len()].to_vec()),
            Err(_) => {
                messages.push(before.to_vec());
                break;
            }
        }
    }
    let mut at = 0;
    while at < messages.len() {
        if chance.one_in(one_in) {
            match chance.below(6) {
                0 => drop(messages.remove(at)),
                1 => messages.insert(at, messages[at].clone()),
                2 => {
                    let other = chance.below(messages.len());
                    messages.swap(at, other);
                }
                _ => chance.mutate(&mut messages[at]),
            }
        }
        at += 1;
    }
    messages.concat()
}
