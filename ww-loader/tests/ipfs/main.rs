//! IPFS: formats, transports, and the loader made of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod codec;
mod recorded;
