use std::sync::Arc;

use crate::error::Error;

/// How a cell ended that ended by itself.
#[derive(Clone, Debug)]
pub struct Exit {
    pub(crate) code: i32,
    pub(crate) rpc_error: Option<Arc<capnp::Error>>,
    pub(crate) output_error: Option<Error>,
}

impl Exit {
    /// The exit code: 0 is success.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Whether the guest says that it did what it was to do.
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Why what the guest wrote did not all reach the standard stream that its
    /// host had set. A reader that has gone is no error.
    pub fn output_error(&self) -> Option<&Error> {
        self.output_error.as_ref()
    }

    /// Why the cell's RPC connection ended, where that was before the guest's
    /// own end and on the guest's side: bytes that are no Cap'n Proto, messages
    /// that the protocol does not allow, or more than some limit of
    /// [`Limits::rpc`](super::Limits::rpc) allows, with kind `Overloaded`; or the
    /// guest's saying so, with that kind as well where it cannot bear what its host
    /// asks for.
    ///
    /// A call or an answer that is too large for one message or has too many
    /// capabilities, be it the host's or the guest's, fails by itself and ends nothing,
    /// unless whoever sends it would take larger messages than the other side does.
    pub fn rpc_error(&self) -> Option<&capnp::Error> {
        self.rpc_error.as_deref()
    }
}
