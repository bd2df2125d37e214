use crate::Error;

/// Why a [`Membrane`](crate::Membrane) has fallen, and with it a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fall {
    /// The epoch that it was issued under has passed. Grafting again helps.
    Epoch {
        /// Sequence number of that epoch.
        issued: u64,
        /// Sequence number of the epoch that was current when this was
        /// noticed.
        current: u64,
    },

    /// It was revoked, with this error.
    Revoked(capnp::Error),
}

impl Fall {
    /// What every call through the membrane fails with. Its text begins with
    /// `staleEpoch` and its kind is `Disconnected` where the epoch has passed.
    pub fn error(&self) -> capnp::Error {
        match *self {
            Self::Epoch { issued, current } => Error::StaleEpoch { issued, current }.into(),
            Self::Revoked(ref error) => error.clone(),
        }
    }
}

/// Errors of `capnp` cannot be compared; kind and text can.
impl PartialEq for Fall {
    fn eq(&self, other: &Self) -> bool {
        let (error, other) = (self.error(), other.error());
        error.kind == other.kind && error.extra == other.extra
    }
}

impl Eq for Fall {}
