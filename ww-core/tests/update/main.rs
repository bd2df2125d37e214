//! Updates that are rolled out to running cells by heads on a chain, on bases
//! from memory and from IPFS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

#[allow(dead_code, reason = "the loader's own tests use the rest")]
#[path = "../../../ww-loader/tests/stem/clock.rs"]
mod clock;
#[path = "../../../ww-loader/tests/ipfs/gateways.rs"]
mod gateways;
#[path = "../../../ww-loader/tests/stem/hardhat.rs"]
mod hardhat;
#[allow(dead_code, reason = "the loader's own tests use the rest")]
#[path = "../../../ww-loader/tests/stem/node.rs"]
mod node;
#[allow(dead_code, reason = "the loader's own tests use the rest")]
#[path = "../../../ww-loader/tests/ipfs/pack.rs"]
mod pack;
#[allow(dead_code, reason = "the loader's own tests use the rest")]
#[path = "../../../ww-loader/tests/ipfs/server.rs"]
mod server;

mod base;

use std::collections::BTreeMap;

use futures_lite::future::block_on;
use ww_core::cell::Builder;
use ww_core::{Error, Rollout};
use ww_image::{Cid, Image};
use ww_loader::http::Ureq;
use ww_loader::stem::{Head, Stem};
use ww_loader::{Memory, Path};
use ww_membrane::{Epoch, Epochs};

use clock::Skipping;
use hardhat::{CHAIN, Chain};

/// A version of an image whose component computes for ever.
fn version(text: &'static str) -> (Cid, Image) {
    const TEXT: &str = r#"(component
        (core module $m
            (func (export "run") (result i32) (loop $again (br $again)) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#;
    let mut files = Memory::files([("etc/version", text)]).unwrap();
    let main = Path::new("bin/main.wasm").unwrap();
    files.file(&main, wat::parse_str(TEXT).unwrap()).unwrap();
    let image = Image::from(files);
    (block_on(image.cid()).unwrap(), image)
}

#[test]
fn a_transaction_restarts_the_cell_on_the_new_base() {
    let Some(chain) = Chain::start() else {
        return;
    };
    let (one, first) = version("1");
    let (two, second) = version("2");
    let versions = BTreeMap::from([(one.clone(), first), (two.clone(), second)]);
    let (http, clock) = (Ureq::new(), Skipping::default());
    let stem = Stem::new(&chain.url, CHAIN, chain.contract, http, clock);
    let epochs = Epochs::new(Epoch::default());
    let base = move |head: &Head| Builder::new().image(versions[&head.cid].pin(head.cid.clone()));
    let mut rollout = Rollout::new(stem.confirmations(2).heads(), epochs.clone(), base);

    chain.advance(&one);
    chain.mine(2);
    block_on(rollout.next()).unwrap().unwrap();
    let running = rollout.cell().unwrap();
    assert_eq!(running.image(), Some(&one));
    let ended = running.wait();
    assert_eq!(epochs.current().seq, 1);
    let guard = epochs.guard();
    assert!(guard.is_current());

    chain.advance(&two);
    chain.mine(2);
    let head = block_on(rollout.next()).unwrap().unwrap();
    assert!(!guard.is_current());
    assert!(matches!(block_on(ended), Err(Error::Killed)));
    assert_eq!(rollout.cell().unwrap().image(), Some(&two));
    let epoch = Epoch {
        seq: 2,
        head: two.as_bytes().to_vec(),
        adopted_block: head.block,
    };
    assert_eq!(epochs.current(), epoch);
}
