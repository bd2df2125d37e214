//! Runs a guest that nobody knows: it may take 50 ms of a processor and 16 MiB
//! of memory, and has a directory of its own to write to.
//!
//! ```sh
//! cargo run -p ww-examples --bin stranger
//! ```

#![allow(clippy::print_stdout, reason = "it tells how the guest fared")]

use std::error::Error;
use std::time::Duration;

use futures_lite::future::block_on;
use ww_core::cell::{Builder, Limits};

fn main() -> Result<(), Box<dyn Error>> {
    let mut limits = Limits::default();
    limits.memory = 16 << 20;
    limits.cpu = Some(Duration::from_millis(50));
    block_on(async {
        let cell = Builder::new()
            .image(example_images::path("spins"))
            .limits(limits)
            .scratch("/tmp")
            .spawn()
            .await?;
        match cell.wait().await {
            Ok(exit) => println!("it exited with {}", exit.code()),
            Err(error) => println!("{error}"),
        }
        let usage = cell.usage();
        println!("it used at most {} KiB of memory", usage.peak_memory >> 10);
        Ok(())
    })
}
