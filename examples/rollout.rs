//! Runs a cell on the image that a contract names, and in place of it the next
//! one when a transaction changes the contract's head. A node of the chain is
//! believed about the head; what a gateway of IPFS sends for it is verified.
//!
//! ```sh
//! cargo run -p ww-examples --bin rollout -- \
//!     http://127.0.0.1:8545 31337 0x5FbDB2315678afecb367f032d93F642f64180aa3 \
//!     http://127.0.0.1:8080
//! ```
//!
//! The contract is in `ww-loader/tests/stem/Stem.sol`.

#![allow(clippy::print_stdout, reason = "it tells what runs")]

use std::env;
use std::error::Error;
use std::time::Duration;

use futures_lite::future::block_on;
use ww_core::cell::{Builder, Output};
use ww_core::{Rollout, Runtime};
use ww_image::{Image, Layer};
use ww_loader::http::Ureq;
use ww_loader::ipfs::{Blocks, Gateway, Ipfs};
use ww_loader::stem::{Head, Stem};
use ww_membrane::{Epoch, Epochs};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [node, chain, contract, gateway] = &args[..] else {
        return Err("rollout NODE CHAIN CONTRACT GATEWAY".into());
    };
    let (runtime, http) = (Runtime::new()?, Ureq::new());
    // For a chain of one's own; on a public one the defaults are better.
    let (chain, contract) = (chain.parse()?, contract.parse()?);
    let stem = Stem::new(node, chain, contract, http.clone(), runtime.clock())
        .confirmations(2)
        .interval(Duration::from_secs(1));
    let blocks = Blocks::builder()
        .clock(runtime.clock())
        .source(Gateway::new(gateway, http))
        .build();
    let base = move |head: &Head| {
        let tree = Ipfs::new(head.cid.clone().into(), &blocks);
        Builder::new()
            .runtime(&runtime)
            .image(Image::from(Layer::verified(head.cid.clone(), tree)))
            .stdout(Output::inherit())
    };
    let epochs = Epochs::new(Epoch::default());
    let mut rollout = Rollout::new(stem.heads(), epochs, base);
    block_on(async {
        while let Some(next) = rollout.next().await {
            match next {
                Ok(head) => println!("head {} runs: {}", head.seq, head.cid),
                Err(error) => println!("{}", causes(&error)),
            }
        }
        Ok(())
    })
}

/// An error and what it comes from.
fn causes(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", causes(cause)),
        None => error.to_string(),
    }
}
