//! `wasi:filesystem`: the image, read only, as the one preopened directory.
//!
//! A descriptor is a place in the image, told by its path from the image's
//! root with every link resolved. The image does not change, so such a path
//! stays true, and two descriptors are the same object when it is equal.

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTableError};
use ww_loader::{File, Path};

use super::Host;
use super::wit::filesystem::preopens;
use super::wit::filesystem::types::ErrorCode;

#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub use self::listing::Listing;

mod descriptor;
mod listing;
mod resolve;
mod stat;
mod stream;

/// An open file or directory of the image.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
#[derive(Clone)]
pub enum Descriptor {
    File { path: Path, file: Arc<dyn File> },
    Dir { path: Path },
}

impl Descriptor {
    fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } | Self::Dir { path } => path,
        }
    }

    /// The directory's path, to resolve others from.
    fn dir(&self) -> Result<&Path, ErrorCode> {
        match self {
            Self::File { .. } => Err(ErrorCode::NotDirectory),
            Self::Dir { path } => Ok(path),
        }
    }

    fn file(&self) -> Result<&Arc<dyn File>, ErrorCode> {
        match self {
            Self::File { file, .. } => Ok(file),
            Self::Dir { .. } => Err(ErrorCode::IsDirectory),
        }
    }
}

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

/// What the guest is told about a loader's failure. Only *not found* is a fact
/// about the image; most others say that the way to it failed.
fn code(error: &ww_loader::Error) -> ErrorCode {
    if error.is_not_found() {
        return ErrorCode::NoEntry;
    }
    match error {
        ww_loader::Error::NotDirectory { .. } => ErrorCode::NotDirectory,
        // A link that leads out of the image.
        ww_loader::Error::Link { .. } => ErrorCode::NotPermitted,
        ww_loader::Error::Special { .. } => ErrorCode::Unsupported,
        ww_loader::Error::Chain { errors, .. } => errors.last().map_or(ErrorCode::Io, code),
        _ => ErrorCode::Io,
    }
}

impl preopens::Host for Host<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        if self.wasi.setup.root.is_none() {
            return Ok(Vec::new());
        }
        let root = Descriptor::Dir { path: Path::root() };
        Ok(vec![(self.table.push(root)?, "/".into())])
    }
}
