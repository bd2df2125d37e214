mod duplex;
mod fused;
mod stdio;
mod streams;

pub use fused::Turn;
pub use stdio::Stdio;
pub use streams::Streams;

use wasip2::io::poll::Pollable;

/// Bytes that may wait for the host, at most. Where so many do, there may be more
/// to write, for which there is no room yet.
pub const FULL: usize = 256 * 1024;

/// The guest's end of its RPC connection, as the poll loop uses it. Dropping
/// it closes the connection.
///
/// A guest's `main` names one implementation, and only the imports of that one
/// are in its component.
pub trait Transport {
    /// Takes the connection. A cell has one.
    fn open() -> Self;

    /// A way to send bytes beside the turns: it takes as many as the host has room
    /// for, at once, and says how many. It takes none once the connection is
    /// closed. Without one, all bytes wait for the next turn.
    fn way(&self) -> Option<Way> {
        None
    }

    /// Sends of `outgoing` what the host takes, and receives what has arrived.
    ///
    /// With `wait` it blocks, in one host call, until something has happened:
    /// bytes arrived, the host closed, one of `pollables` is ready, or there
    /// is room for more of `outgoing`. It does not where the host took some of
    /// [`FULL`] bytes: then there is room for what is to follow.
    fn turn(&mut self, outgoing: &[u8], pollables: &[&Pollable], wait: bool) -> Exchange;

    /// Sends all of `outgoing`, and blocks until the host has taken it or has
    /// closed the connection.
    fn finish(&mut self, outgoing: &[u8]);

    /// Tells the host of a panic. Without a way to, does nothing.
    fn panicked(_: &str) {}
}

/// Takes bytes, and says how many.
pub type Way = Box<dyn Fn(&[u8]) -> usize>;

/// What a turn brought.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Bytes that the host took, from the front.
    pub accepted: usize,
    /// Bytes that arrived, in order.
    pub incoming: Vec<u8>,
    /// Indices of the pollables that are ready.
    pub ready: Vec<u32>,
    /// The host closed the connection, and everything it sent was received.
    pub closed: bool,
}
