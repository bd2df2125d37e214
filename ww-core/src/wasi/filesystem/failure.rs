use std::io;

use wasmtime::component::{Resource, ResourceTableError};
use ww_image::Error;

use super::scratch::WriteFailed;
use super::stream::ReadFailed;
use crate::wasi::Host;
use crate::wasi::wit::filesystem::types::{ErrorCode, Host as HostTypes};

/// Why a call failed: an answer for the guest, or a trap.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
#[derive(Debug)]
pub enum Failure {
    Code(ErrorCode),
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl HostTypes for Host<'_> {
    fn convert_error_code(&mut self, failure: Failure) -> wasmtime::Result<ErrorCode> {
        match failure {
            Failure::Code(code) => Ok(code),
            Failure::Trap(error) => Err(error),
        }
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        let read = error.downcast_ref::<ReadFailed>().map(|failed| failed.code);
        let write = || error.downcast_ref::<WriteFailed>().map(|failed| failed.0);
        let stdio = || error.downcast_ref::<io::Error>().and_then(io_code);
        Ok(read.or_else(write).or_else(stdio))
    }
}

/// What the guest is told about an image's failure. A layer that fails says
/// nothing about what is there, except where a link leads out of it.
pub(super) fn code(error: &Error) -> ErrorCode {
    match error {
        Error::NotFound { .. } => ErrorCode::NoEntry,
        Error::NotDirectory { .. } => ErrorCode::NotDirectory,
        Error::Loop { .. } => ErrorCode::Loop,
        Error::Path(_) => ErrorCode::NameTooLong,
        Error::Listing { .. } => ErrorCode::InsufficientMemory,
        Error::Layer { source, .. } => layer_code(source),
        _ => ErrorCode::Io,
    }
}

fn layer_code(error: &ww_loader::Error) -> ErrorCode {
    match error {
        ww_loader::Error::Link { .. } => ErrorCode::NotPermitted,
        ww_loader::Error::Special { .. } => ErrorCode::Unsupported,
        // The last loader that was asked ended the search.
        ww_loader::Error::Chain { errors, .. } => errors.last().map_or(ErrorCode::Io, layer_code),
        _ => ErrorCode::Io,
    }
}

/// The code of an error of a stream of the host's, where its kind has one.
fn io_code(error: &io::Error) -> Option<ErrorCode> {
    use io::ErrorKind;
    Some(match error.kind() {
        ErrorKind::NotFound => ErrorCode::NoEntry,
        ErrorKind::PermissionDenied => ErrorCode::NotPermitted,
        ErrorKind::AlreadyExists => ErrorCode::Exist,
        ErrorKind::WouldBlock => ErrorCode::WouldBlock,
        ErrorKind::NotADirectory => ErrorCode::NotDirectory,
        ErrorKind::IsADirectory => ErrorCode::IsDirectory,
        ErrorKind::DirectoryNotEmpty => ErrorCode::NotEmpty,
        ErrorKind::ReadOnlyFilesystem => ErrorCode::ReadOnly,
        ErrorKind::InvalidInput => ErrorCode::Invalid,
        ErrorKind::StorageFull => ErrorCode::InsufficientSpace,
        ErrorKind::NotSeekable => ErrorCode::InvalidSeek,
        ErrorKind::QuotaExceeded => ErrorCode::Quota,
        ErrorKind::FileTooLarge => ErrorCode::FileTooLarge,
        ErrorKind::ResourceBusy => ErrorCode::Busy,
        ErrorKind::ExecutableFileBusy => ErrorCode::TextFileBusy,
        ErrorKind::Deadlock => ErrorCode::Deadlock,
        ErrorKind::CrossesDevices => ErrorCode::CrossDevice,
        ErrorKind::TooManyLinks => ErrorCode::TooManyLinks,
        ErrorKind::Interrupted => ErrorCode::Interrupted,
        ErrorKind::Unsupported => ErrorCode::Unsupported,
        ErrorKind::OutOfMemory => ErrorCode::InsufficientMemory,
        _ => return None,
    })
}
