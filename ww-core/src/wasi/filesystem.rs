//! `wasi:filesystem`: the image, read only, as the one preopened directory.
//!
//! A descriptor is a place in the image, told by its path from the image's
//! root with every link resolved. The image does not change, so such a path
//! stays true, and two descriptors are the same object when it is equal.

use wasmtime::component::{Resource, ResourceTableError};
use ww_image::{Error, File, Image, Path};

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
    File(File),
    Dir(Path),
}

impl Descriptor {
    fn path(&self) -> &Path {
        match self {
            Self::File(file) => file.path(),
            Self::Dir(path) => path,
        }
    }

    /// The directory's path, to resolve others from.
    fn dir(&self) -> Result<&Path, ErrorCode> {
        match self {
            Self::File(_) => Err(ErrorCode::NotDirectory),
            Self::Dir(path) => Ok(path),
        }
    }

    fn file(&self) -> Result<&File, ErrorCode> {
        match self {
            Self::File(file) => Ok(file),
            Self::Dir(_) => Err(ErrorCode::IsDirectory),
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

/// What the guest is told about an image's failure. A layer that fails says
/// nothing about what is there, except where a link leads out of it.
fn code(error: &Error) -> ErrorCode {
    match error {
        Error::NotFound { .. } => ErrorCode::NoEntry,
        Error::NotDirectory { .. } => ErrorCode::NotDirectory,
        Error::Loop { .. } => ErrorCode::Loop,
        Error::Path(_) => ErrorCode::NameTooLong,
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

impl Host<'_> {
    /// The image. Without one there is no descriptor to ask with.
    fn image(&self) -> Result<Image, ErrorCode> {
        self.wasi
            .setup
            .image
            .clone()
            .ok_or(ErrorCode::BadDescriptor)
    }
}

impl preopens::Host for Host<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        if self.wasi.setup.image.is_none() {
            return Ok(Vec::new());
        }
        let root = Descriptor::Dir(Path::root());
        Ok(vec![(self.table.push(root)?, "/".into())])
    }
}
