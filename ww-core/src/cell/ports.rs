use tracing::Span;

use super::handle::Streams;
use super::limits::Limits;
use super::lines::Stream;
use super::stdio::{Input, Output};
use super::transport::Transport;
use crate::error::Error;
use crate::pipe;
use crate::rpc::Connection;
use crate::wasi::{Stdin, Stdout};

/// Where a cell's standard streams go, and where it speaks RPC.
#[derive(Default)]
pub(super) struct Ports {
    pub(super) stdin: Option<Input>,
    pub(super) stdout: Option<Output>,
    pub(super) stderr: Output,
    pub(super) transport: Transport,
}

/// The ends of what is connected.
pub(super) struct Ends {
    pub(super) stdin: Stdin,
    pub(super) stdout: Stdout,
    pub(super) stderr: Stdout,
    /// The guest's, where it has imports for it.
    pub(super) connection: Connection,
    /// The host's, where the cell speaks RPC.
    pub(super) rpc: Option<(pipe::Reader, pipe::Writer)>,
    /// The holder's.
    pub(super) streams: Streams,
}

impl Ports {
    /// Connects a cell of this span, whose program does or does not import RPC.
    ///
    /// # Errors
    ///
    /// [`Error::StdioTaken`].
    pub(super) fn connect(
        self,
        imports_rpc: bool,
        limits: &Limits,
        span: &Span,
    ) -> Result<Ends, Error> {
        let over_stdio = self.transport == Transport::Stdio;
        let taken = [
            ("stdin", self.stdin.is_some()),
            ("stdout", self.stdout.is_some()),
        ];
        if over_stdio && let Some((stream, _)) = taken.into_iter().find(|(_, taken)| *taken) {
            return Err(Error::StdioTaken { stream });
        }
        let (mut stdin, in_end) = self.stdin.unwrap_or_default().open(limits.stdio);
        let stdout = self.stdout.unwrap_or_default();
        let (mut stdout, out_end) = stdout.open(limits.stdio, Stream::Out, span);
        let (stderr, err_end) = self.stderr.open(limits.stdio, Stream::Err, span);
        let mut connection = Connection::default();
        let mut rpc = None;
        if over_stdio || imports_rpc {
            let (to_guest, incoming) = pipe::pipe(limits.rpc_buffer);
            let (outgoing, from_guest) = pipe::pipe(limits.rpc_buffer);
            if over_stdio {
                (stdin, stdout) = (Stdin::pipe(incoming), Stdout::pipe(outgoing));
            } else {
                connection = Connection::new(incoming, outgoing);
            }
            rpc = Some((from_guest, to_guest));
        }
        Ok(Ends {
            stdin,
            stdout,
            stderr,
            connection,
            rpc,
            streams: Streams {
                stdin: in_end,
                stdout: out_end,
                stderr: err_end,
            },
        })
    }
}
