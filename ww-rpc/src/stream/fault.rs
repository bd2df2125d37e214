use std::io;

use capnp::{Error, ErrorKind};

/// A failed call, as who reads or writes sees it. The Cap'n Proto error is
/// within it.
pub(super) fn fault(error: Error) -> io::Error {
    let kind = match error.kind {
        ErrorKind::Disconnected => io::ErrorKind::ConnectionReset,
        ErrorKind::Overloaded => io::ErrorKind::QuotaExceeded,
        ErrorKind::Unimplemented => io::ErrorKind::Unsupported,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
