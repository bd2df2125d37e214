/// What can go wrong between a membrane and those who hold it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An epoch was offered that does not follow the current one.
    #[error("epoch {offered} does not follow epoch {current}")]
    Advance {
        /// Sequence number of the current epoch.
        current: u64,
        /// Sequence number that was refused.
        offered: u64,
    },

    /// A session is used after its epoch has passed.
    ///
    /// The text begins with `staleEpoch`, as guests of the field know it. It
    /// crosses the wire with kind `Disconnected`, so that whoever reconnects
    /// on that kind grafts again.
    #[error("staleEpoch: session of epoch {issued} used in epoch {current}")]
    StaleEpoch {
        /// Sequence number of the epoch that the session was issued under.
        issued: u64,
        /// Sequence number of the current epoch.
        current: u64,
    },
}

impl From<Error> for capnp::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::StaleEpoch { .. } => Self::disconnected(text),
            Error::Advance { .. } => Self::failed(text),
        }
    }
}
