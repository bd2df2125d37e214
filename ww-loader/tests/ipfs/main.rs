//! IPFS: formats, transports, and the loader made of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(unix)]
mod cache;
mod clock;
mod codec;
mod gateways;
mod hostile;
#[cfg(unix)]
mod kept;
#[cfg(unix)]
mod killed;
mod kubo;
mod lasting;
mod names;
mod npm;
mod own;
mod pack;
mod recorded;
mod secrets;
mod server;
mod shapes;
mod trees;
mod turns;
mod waits;
