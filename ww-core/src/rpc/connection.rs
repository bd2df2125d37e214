use crate::pipe;

/// The guest's end of its RPC connection, until the guest takes it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    ends: Option<(pipe::Reader, pipe::Writer)>,
}

impl Connection {
    pub(crate) fn new(incoming: pipe::Reader, outgoing: pipe::Writer) -> Self {
        Self {
            ends: Some((incoming, outgoing)),
        }
    }

    /// What the host sends, and what the guest sends.
    ///
    /// # Errors
    ///
    /// A trap: a cell has one connection, and it was taken.
    pub(crate) fn take(&mut self) -> wasmtime::Result<(pipe::Reader, pipe::Writer)> {
        self.ends.take().ok_or_else(|| {
            wasmtime::Error::msg("the cell's RPC connection was taken before: there is only one")
        })
    }
}
