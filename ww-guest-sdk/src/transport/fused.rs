use std::rc::Rc;

use wasip2::io::poll::Pollable;

use crate::bindings::turn;
use crate::transport::{Exchange, FULL, Transport, Way};

/// The most bytes that one host call hands over. Hosts bound that, and what
/// they take at a time is less.
const MOST: usize = 1 << 20;

// A turn offers all that waits, or it could not wait for room for the rest.
const _: () = assert!(FULL <= MOST);

/// RPC over `wetware:turn`: sending, waiting and receiving are one host call.
#[derive(Debug)]
pub struct Turn(Rc<turn::Connection>);

impl Transport for Turn {
    fn open() -> Self {
        Self(Rc::new(turn::Connection::new()))
    }

    fn way(&self) -> Option<Way> {
        // The vat may hold on to it for longer than the connection is open.
        let connection = Rc::downgrade(&self.0);
        Some(Box::new(move |outgoing| {
            let offered = &outgoing[..outgoing.len().min(MOST)];
            let connection = connection.upgrade();
            connection.map_or(0, |connection| connection.write(offered) as usize)
        }))
    }

    fn turn(&mut self, outgoing: &[u8], pollables: &[&Pollable], wait: bool) -> Exchange {
        let outcome = self.0.turn(outgoing, pollables, wait);
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
