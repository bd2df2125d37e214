use wasip2::io::poll::Pollable;

use crate::bindings::turn;
use crate::transport::{Exchange, Transport};

/// RPC over `wetware:turn`: sending, waiting and receiving are one host call.
#[derive(Debug)]
pub struct Turn(turn::Connection);

impl Transport for Turn {
    fn open() -> Self {
        Self(turn::Connection::new())
    }

    fn turn(&mut self, outgoing: &[u8], pollables: &[&Pollable], wait: bool) -> Exchange {
        let outcome = self.0.turn(outgoing, pollables, wait);
        Exchange {
            accepted: outcome.accepted as usize,
            incoming: outcome.incoming,
            ready: outcome.ready,
            closed: outcome.closed,
        }
    }

    fn finish(&mut self, outgoing: &[u8]) {
        self.0.finish(outgoing);
    }
}
