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

/// The same the other way: a stream of the server's that failed, of the kind of the
/// Cap'n Proto error that is within it, or of its own.
pub(super) fn failure(what: String, error: io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let kind = match inner {
        Some(Error { kind, .. }) => *kind,
        None => match error.kind() {
            io::ErrorKind::QuotaExceeded => ErrorKind::Overloaded,
            io::ErrorKind::Unsupported => ErrorKind::Unimplemented,
            kind => Error::from(io::Error::from(kind)).kind,
        },
    };
    Error {
        kind,
        extra: format!("{what}: {error}"),
    }
}
