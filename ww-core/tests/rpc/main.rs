//! Calls between guests and their host, both ways.

mod connection;
mod exported;
#[path = "../cell/patience.rs"]
mod patience;
mod session;
mod stage;
mod transport;
