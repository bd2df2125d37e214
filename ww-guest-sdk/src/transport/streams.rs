use wasip2::io::poll::Pollable;

use crate::bindings::streams;
use crate::transport::duplex::Duplex;
use crate::transport::{Exchange, Transport};

/// RPC over `wetware:streams`.
#[derive(Debug)]
pub struct Streams {
    // Before the resource that the streams came from.
    duplex: Duplex,
    _connection: streams::Connection,
}

impl Transport for Streams {
    fn open() -> Self {
        let connection = streams::create_connection();
        Self {
            duplex: Duplex::new(
                connection.get_input_stream(),
                connection.get_output_stream(),
            ),
            _connection: connection,
        }
    }

    fn turn(&mut self, outgoing: &[u8], pollables: &[&Pollable], wait: bool) -> Exchange {
        self.duplex.turn(outgoing, pollables, wait)
    }

    fn finish(&mut self, outgoing: &[u8]) {
        self.duplex.finish(outgoing);
    }
}
