//! Serves what a cell exports on a unix socket, to whoever speaks Cap'n Proto:
//! each connection gets the cell's own capability, through the membrane that
//! stands between the cell and all of its host.
//!
//! ```sh
//! cargo run -p ww-examples --bin serve-unix -- /tmp/cell.sock
//! ```
//!
//! Then, with `pip install pycapnp`, or with any other Cap'n Proto:
//!
//! ```sh
//! python3 ww-rpc/tests/interop/peer.py greet /tmp/cell.sock
//! ```
//!
//! The listener is a task of the cell's here, and ends with it. One that is to outlive
//! its cell accepts outside, and has each connection served by the cell that runs then:
//! `cell.with` with the stream, and where that fails with `Error::Ended`, which says
//! why, a new cell.

#![allow(clippy::print_stdout, reason = "whoever starts it waits for its lines")]

use std::error::Error;
use std::time::Duration;

use capnp::capability::Client;
use smol::Timer;
use smol::net::unix::UnixListener;
use ww_core::cell::{Builder, Input, Local};
use ww_rpc::{Limits, Side, Vat};

/// After a connection that could not be taken in.
const PAUSE: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("serve-unix PATH")?;
    smol::block_on(async {
        let listener = UnixListener::bind(&path)?;
        let cell = Builder::new()
            .image(example_images::path("exporter"))
            .stdin(Input::piped())
            .spawn()
            .await?;
        // The cell stays for as long as its input does.
        let _input = cell.take_stdin();
        println!("listening {path}");
        cell.with(|local| serve(local, listener)).await?;
        Ok(())
    })
}

/// Takes in connections, on the cell's thread: capabilities never leave it.
async fn serve(local: Local, listener: UnixListener) -> Result<(), ww_core::Error> {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // It may have been the peer's doing, or the process has no descriptor
            // left for now.
            Err(error) => {
                println!("a connection was not taken in: {error}");
                Timer::after(PAUSE).await;
                continue;
            }
        };
        let exported: Client = local.exported();
        let vat = Vat::new(
            stream.clone(),
            stream,
            Side::Server,
            Some(exported),
            Limits::default(),
        );
        // How a connection ends is its peer's affair.
        local.spawn(async move { drop(vat.await) });
    }
}
