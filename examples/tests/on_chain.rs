//! `rollout` on a development chain, with a gateway of published handlers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

#[path = "../../ww-loader/tests/ipfs/gateways.rs"]
mod gateways;
#[path = "../../ww-loader/tests/stem/hardhat.rs"]
mod hardhat;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use gateways::Gateways;
use hardhat::{CHAIN, Chain};

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_transaction_rolls_an_update_out() {
    let images = ["hello", "dice"].map(example_images::path);
    let images = images.each_ref().map(|path| &**path);
    let Some(gateways) = Gateways::start("the example of a rollout", &images) else {
        return;
    };
    let Some(chain) = Chain::start() else {
        return;
    };
    let mut running = Command::new(env!("CARGO_BIN_EXE_rollout"))
        .args([&chain.url, &CHAIN.to_string(), &chain.contract.to_string()])
        .arg(gateways.get("url"))
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    let stdout = running.0.stdout.take().unwrap();
    let mut lines = BufReader::new(stdout).lines().map(Result::unwrap);
    for (seq, number) in [(1, "0"), (2, "1")] {
        let cid = gateways.get(number);
        chain.advance(&cid.parse().unwrap());
        chain.mine(2);
        let runs = format!("head {seq} runs: {cid}");
        // What its guest says may come before it.
        assert!(lines.any(|line| line == runs), "{runs}");
    }
}
