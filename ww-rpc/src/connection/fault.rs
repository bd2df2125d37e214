use capnp::private::capability::{ClientHook, PipelineHook, PipelineOp};
use capnp::{Error, ErrorKind};
use capnp_rpc::rpc_capnp::exception;

/// The most bytes that are kept of a reason why the peer gives up or breaks a
/// promise: each call and each promise that is open gets a copy.
pub(super) const LONGEST: usize = 1 << 10;

/// The most bytes of a reason why one call failed, which may tell a long story. Each
/// call that is pipelined on it gets a copy.
pub(super) const LONGEST_OF_CALL: usize = 1 << 16;

/// Writes an error as the peer is told of it.
pub(super) fn write(error: &Error, mut exception: exception::Builder<'_>) {
    let kind = match error.kind {
        ErrorKind::Overloaded => exception::Type::Overloaded,
        ErrorKind::Disconnected => exception::Type::Disconnected,
        ErrorKind::Unimplemented | ErrorKind::SettingDynamicCapabilitiesIsUnsupported => {
            exception::Type::Unimplemented
        }
        _ => exception::Type::Failed,
    };
    exception.set_type(kind);
    match error.kind {
        ErrorKind::Failed
        | ErrorKind::Overloaded
        | ErrorKind::Disconnected
        | ErrorKind::Unimplemented => exception.set_reason(&error.extra),
        // The kind says what the text does not.
        _ => exception.set_reason(error.to_string()),
    }
}

/// What the peer has told us of. Of a long text, `longest` bytes are kept.
pub(super) fn read(exception: exception::Reader<'_>, longest: usize) -> Error {
    let kind = match exception.get_type() {
        Ok(exception::Type::Overloaded) => ErrorKind::Overloaded,
        Ok(exception::Type::Disconnected) => ErrorKind::Disconnected,
        Ok(exception::Type::Unimplemented) => ErrorKind::Unimplemented,
        Ok(exception::Type::Failed) | Err(_) => ErrorKind::Failed,
    };
    let reason = exception.get_reason().map(|reason| reason.as_bytes());
    let reason = reason.unwrap_or_default();
    let (reason, rest) = match reason.get(..longest) {
        Some(start) if start.len() < reason.len() => (start, "…"),
        _ => (reason, ""),
    };
    let reason = String::from_utf8_lossy(reason);
    Error {
        kind,
        extra: format!("remote exception: {reason}{rest}"),
    }
}

/// The same error with no more of its text than is kept.
pub(super) fn cut(error: &Error) -> Error {
    let end = error.extra.floor_char_boundary(LONGEST);
    Error {
        kind: error.kind,
        extra: error.extra[..end].into(),
    }
}

/// A capability that fails all calls.
pub(super) fn broken(error: Error) -> Box<dyn ClientHook> {
    capnp_rpc::new_broken_cap(error).hook
}

/// What comes of a call that was not made.
pub(super) struct Broken(pub(super) Error);

impl PipelineHook for Broken {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(Self(self.0.clone()))
    }

    fn get_pipelined_cap(&self, _: &[PipelineOp]) -> Box<dyn ClientHook> {
        broken(self.0.clone())
    }
}
