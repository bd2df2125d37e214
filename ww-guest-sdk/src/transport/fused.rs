use wasip2::io::poll::Pollable;

use crate::bindings::turn;
use crate::transport::{Exchange, Transport};

/// The most bytes that one host call hands over. Hosts bound that, and what
/// they take at a time is less.
const MOST: usize = 1 << 20;

/// RPC over `wetware:turn`: sending, waiting and receiving are one host call.
#[derive(Debug)]
pub struct Turn(turn::Connection);

impl Transport for Turn {
    fn open() -> Self {
        Self(turn::Connection::new())
    }

    fn turn(&mut self, outgoing: &[u8], pollables: &[&Pollable], wait: bool) -> Exchange {
        let offered = &outgoing[..outgoing.len().min(MOST)];
        // What is left over is as good as room for more.
        let wait = wait && offered.len() == outgoing.len();
        let outcome = self.0.turn(offered, pollables, wait);
        Exchange {
            accepted: outcome.accepted as usize,
            incoming: outcome.incoming,
            ready: outcome.ready.unwrap_or_default(),
            closed: outcome.closed,
        }
    }

    fn finish(&mut self, outgoing: &[u8]) {
        for part in outgoing.chunks(MOST) {
            self.0.finish(part);
        }
    }
    fn panicked(text: &str) {
        turn::panicked(text);
    }
}
