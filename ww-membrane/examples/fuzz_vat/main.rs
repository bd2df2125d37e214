//! Feeds vats what a peer may say, for as long as it is told to:
//! `fuzz_vat TARGET SECONDS [SEED [INPUT]]`.
//!
//! The target `made` is a peer that makes up messages which fit the conversation
//! for the most part; `circles` is one that also resolves its promises to, and
//! answers with, what it has of the vat, so that they lead back to themselves;
//! and `relayed` is two vats with somebody between them who changes, loses,
//! repeats and swaps what they say to each other. There is a membrane between
//! each vat and what runs on it, as there is around each cell.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a tool for the command line, which fails by panicking"
)]

mod app;
#[path = "../../../ww-loader/examples/fuzz/chance.rs"]
mod chance;
#[path = "../../../ww-loader/examples/fuzz/drive.rs"]
mod drive;
mod mutate;
mod node;
mod peer;
mod settle;
mod side;

use std::sync::atomic::{AtomicBool, Ordering};

use capnp_rpc::rpc_capnp::message;
use chance::Chance;
use peer::Peer;
use side::Side;

/// Whether to print what is said, because only one input is tried.
static ALOUD: AtomicBool = AtomicBool::new(false);

fn main() {
    drive::run(|target, alone| {
        ALOUD.store(alone, Ordering::Relaxed);
        match target {
            "made" => Some(Box::new(|chance| made(chance, false))),
            "circles" => Some(Box::new(|chance| made(chance, true))),
            "relayed" => Some(Box::new(relayed)),
            _ => None,
        }
    });
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
