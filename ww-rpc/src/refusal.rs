use capnp::Error;

use crate::{Limit, Traffic};

/// Why the connection cannot go on.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The peer goes beyond a limit.
    Exceeded(Limit, String),
    /// What it says makes no sense.
    Broken(Error),
}

impl Refusal {
    /// As the connection's error. Which limit it was is noted in `traffic`.
    pub(crate) fn into_error(self, traffic: &Traffic) -> Error {
        match self {
            Self::Exceeded(limit, text) => {
                traffic.went_beyond(limit);
                Error::overloaded(text)
            }
            Self::Broken(error) => error,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<capnp::NotInSchema> for Refusal {
    fn from(error: capnp::NotInSchema) -> Self {
        Self::Broken(error.into())
    }
}
