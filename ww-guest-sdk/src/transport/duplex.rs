use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::transport::{Exchange, FULL};
use crate::watch::ready_now;

/// The most bytes taken from the host at once.
const CHUNK: u64 = 64 * 1024;

/// An RPC connection over a pair of `wasi:io` streams.
#[derive(Debug)]
pub(crate) struct Duplex {
    // Fields drop in order: pollables before their streams, and the output
    // before the input, so that the host sees an end before it sees a break.
    writable: Pollable,
    readable: Pollable,
    output: OutputStream,
    input: InputStream,
}

impl Duplex {
    pub(crate) fn new(input: InputStream, output: OutputStream) -> Self {
        Self {
            writable: output.subscribe(),
            readable: input.subscribe(),
            output,
            input,
        }
    }

    pub(crate) fn turn(
        &mut self,
        outgoing: &[u8],
        pollables: &[&Pollable],
        wait: bool,
    ) -> Exchange {
        let sent = self.send(outgoing);
        let accepted = *sent.as_ref().unwrap_or(&0);
        let broken = sent.is_err();
        let backlog = accepted < outgoing.len();
        let room = accepted > 0 && (backlog || outgoing.len() >= FULL);
        let ready = match sent {
            Err(_) => Vec::new(),
            Ok(_) if wait && !room => self.wait(pollables, backlog),
            Ok(_) => ready_now(pollables),
        };
        let (incoming, closed) = match self.input.read(CHUNK) {
            // What arrived before the other direction broke is still read.
            Ok(incoming) => {
                let closed = broken && incoming.is_empty();
                (incoming, closed)
            }
            Err(_) => (Vec::new(), true),
        };
        Exchange {
            accepted,
            incoming,
            ready,
            closed,
        }
    }

    pub(crate) fn finish(&mut self, mut outgoing: &[u8]) {
        while !outgoing.is_empty() {
            match self.send(outgoing) {
                Ok(0) => self.writable.block(),
                Ok(accepted) => outgoing = &outgoing[accepted..],
                Err(_) => return,
            }
        }
    }

    /// Sends what there is room for.
    fn send(&self, outgoing: &[u8]) -> Result<usize, StreamError> {
        if outgoing.is_empty() {
            return Ok(0);
        }
        let room = usize::try_from(self.output.check_write()?).unwrap_or(usize::MAX);
        let accepted = room.min(outgoing.len());
        if accepted > 0 {
            self.output.write(&outgoing[..accepted])?;
            self.output.flush()?;
        }
        Ok(accepted)
    }

    /// Blocks until something has happened; answers which of `pollables` are
    /// ready.
    fn wait(&self, pollables: &[&Pollable], backlog: bool) -> Vec<u32> {
        let own = [&self.readable, &self.writable];
        let own = if backlog { &own[..] } else { &own[..1] };
        let mut ready = poll(&[pollables, own].concat());
        ready.retain(|&index| (index as usize) < pollables.len());
        ready
    }
}
