//! Runs a cell on the image that a contract names, and in place of it the next
//! one when a transaction changes the contract's head. A node of the chain is
//! believed about the head; what a gateway of IPFS sends for it is verified. A head
//! that cannot run for now, be it that the gateway is not reached, is tried again.
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

use futures::FutureExt;
use futures::future::{Either, Fuse};
use futures_lite::future::{block_on, or};
use ww_core::cell::{Builder, Output};
use ww_core::clock::Clock;
use ww_core::{Rollout, RolloutError, Runtime};
use ww_image::{Image, Layer};
use ww_loader::http::Ureq;
use ww_loader::ipfs::{Blocks, Gateway, Ipfs};
use ww_loader::stem::{Head, Stem};
use ww_membrane::{Epoch, Epochs};

/// Before a head that could not run is tried again.
const PAUSE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [node, chain, contract, gateway] = &args[..] else {
        return Err("rollout NODE CHAIN CONTRACT GATEWAY".into());
    };
    let (runtime, http) = (Runtime::new()?, Ureq::new());
    let clock = runtime.clock();
    // For a chain of one's own; on a public one the defaults are better.
    let (chain, contract) = (chain.parse()?, contract.parse()?);
    let stem = Stem::new(node, chain, contract, http.clone(), clock.clone())
        .confirmations(2)
        .interval(Duration::from_secs(1));
    let blocks = Blocks::builder()
        .clock(clock.clone())
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
        let (mut ended, mut failed) = (Fuse::terminated(), false);
        loop {
            let came = or(
                async { Either::Left(next(&mut rollout, &clock, failed).await) },
                async { Either::Right((&mut ended).await) },
            );
            match came.await {
                Either::Left(None) => return Ok(()),
                Either::Left(Some(Ok(head))) => {
                    println!("head {} runs: {}", head.seq, head.cid);
                    failed = false;
                    if let Some(cell) = rollout.cell() {
                        ended = cell.wait().boxed().fuse();
                    }
                }
                Either::Left(Some(Err(error))) => {
                    println!("{}", causes(&error));
                    failed = matches!(error, RolloutError::Cell { .. });
                }
                // It makes room for the next.
                Either::Right(Err(ww_core::Error::Killed)) => {}
                Either::Right(Err(error)) => println!("the cell has failed: {}", causes(&error)),
                Either::Right(Ok(exit)) => println!("the cell has exited: {}", exit.code()),
            }
        }
    })
}

/// The next head; where the last one has `failed`, that one again, unless another
/// comes before long.
async fn next(
    rollout: &mut Rollout,
    clock: &dyn Clock,
    failed: bool,
) -> Option<Result<Head, RolloutError>> {
    if !failed {
        return rollout.next().await;
    }
    let pause = clock.sleep_until(clock.now() + PAUSE);
    let another = or(async { Some(rollout.next().await) }, async {
        pause.await;
        None
    });
    match another.await {
        Some(next) => next,
        None => rollout.retry().await,
    }
}

/// An error and what it comes from.
fn causes(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", causes(cause)),
        None => error.to_string(),
    }
}
