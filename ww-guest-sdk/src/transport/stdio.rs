use wasip2::cli::{stdin, stdout};
use wasip2::io::poll::Pollable;

use crate::transport::duplex::Duplex;
use crate::transport::{Exchange, Transport};

/// RPC over standard input and output.
#[derive(Debug)]
pub struct Stdio(Duplex);

impl Transport for Stdio {
    fn open() -> Self {
        Self(Duplex::new(stdin::get_stdin(), stdout::get_stdout()))
    }

    fn turn(&mut self, outgoing: &[u8], pollables: &[&Pollable], wait: bool) -> Exchange {
        self.0.turn(outgoing, pollables, wait)
    }

    fn finish(&mut self, outgoing: &[u8]) {
        self.0.finish(outgoing);
    }
}
