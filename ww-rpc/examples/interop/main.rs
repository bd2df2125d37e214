//! Our side of `tests/interop/run`, which has pycapnp at the other:
//!
//! ```text
//! interop serve ADDRESS   serves a host, its executor, and what that gives
//! interop call ADDRESS    calls such a host in every way, and prints what came
//! ```
//!
//! An address is a path, or HOST:PORT.

#![allow(
    clippy::print_stdout,
    reason = "its output is compared with what is expected"
)]

mod call;
mod serve;
mod wire;

use async_executor::LocalExecutor;
use futures_lite::future::block_on;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let executor = LocalExecutor::new();
    match &args[..] {
        [verb, address] if verb == "serve" => {
            block_on(executor.run(serve::serve(&executor, address)))
        }
        [verb, address] if verb == "call" => block_on(executor.run(call::call(&executor, address))),
        _ => Err("interop serve|call ADDRESS".into()),
    }
}
