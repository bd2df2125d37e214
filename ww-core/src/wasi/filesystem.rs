//! `wasi:filesystem`: images, read only, and scratch, as preopened directories.
//!
//! A descriptor in an image is told by its path from the image's root with
//! every link resolved. An image does not change, so such a path stays true,
//! and two descriptors are the same object when mount and path are equal. One
//! in a scratch directory holds its node open.

use std::io;

use wasmtime::component::{Resource, ResourceTableError};
use ww_image::{Error, File, Image, Path};

use super::Host;
use super::wit::filesystem::preopens;
use super::wit::filesystem::types::ErrorCode;

#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub use self::listing::Listing;
pub(super) use self::listing::Listings;
pub(super) use self::mount::Mounted;
pub(crate) use self::mount::{Mount, Source};
pub(super) use self::reads::Reads;

use self::scratch::Open;

mod descriptor;
mod listing;
mod mount;
mod reads;
mod resolve;
mod scratch;
mod stat;
mod stream;
mod times;

/// An open file or directory. In an image it goes with the number of the
/// mount.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub enum Descriptor {
    File(usize, File),
    Dir(usize, Path),
    #[allow(private_interfaces, reason = "only the host looks into a descriptor")]
    Scratch(Open),
}

impl Descriptor {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one, file), Self::File(other, other_file)) => {
                one == other && file.path() == other_file.path()
            }
            (Self::Dir(one, path), Self::Dir(other, other_path)) => {
                one == other && path == other_path
            }
            (Self::Scratch(one), Self::Scratch(other)) => one.is_same(other),
            _ => false,
        }
    }

    /// Refuses what is no directory.
    fn dir(&self) -> Result<Dir<'_>, ErrorCode> {
        match self {
            Self::File(..) => Err(ErrorCode::NotDirectory),
            Self::Dir(mount, path) => Ok(Dir::Image(*mount, path)),
            Self::Scratch(open) => open.dir().map(Dir::Scratch),
        }
    }

    /// Refuses what is no directory that can be changed.
    fn mutable_dir(&self) -> Result<&Open, ErrorCode> {
        match self.dir()? {
            Dir::Image(..) => Err(ErrorCode::ReadOnly),
            Dir::Scratch(open) => Ok(open),
        }
    }

    /// Refuses what is no file, with Wasmtime's code.
    fn file(&self) -> Result<Content<'_>, ErrorCode> {
        match self {
            Self::File(_, file) => Ok(Content::Image(file)),
            Self::Dir(..) => Err(ErrorCode::BadDescriptor),
            Self::Scratch(open) => open.file().map(Content::Scratch),
        }
    }

    /// Refuses what is no file that can be changed.
    fn mutable_file(&self) -> Result<&Open, ErrorCode> {
        match self.file()? {
            Content::Image(_) => Err(ErrorCode::ReadOnly),
            Content::Scratch(open) => Ok(open),
        }
    }

    /// Refuses what cannot be changed.
    fn mutable(&self) -> Result<&Open, ErrorCode> {
        match self {
            Self::File(..) | Self::Dir(..) => Err(ErrorCode::ReadOnly),
            Self::Scratch(open) => Ok(open),
        }
    }
}

/// A directory to resolve paths from.
enum Dir<'a> {
    Image(usize, &'a Path),
    Scratch(&'a Open),
}

/// A file.
enum Content<'a> {
    Image(&'a File),
    Scratch(&'a Open),
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

impl Host<'_> {
    fn image(&self, mount: usize) -> Result<Image, ErrorCode> {
        match self.wasi.mounts.get(mount) {
            Some(Mounted::Image { image, .. }) => Ok(image.clone()),
            _ => Err(ErrorCode::BadDescriptor),
        }
    }
}

impl preopens::Host for Host<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let mounts = self.wasi.mounts.iter().enumerate();
        mounts
            .map(|(number, mounted)| {
                let root = mounted.open(number);
                Ok((self.table.push(root)?, mounted.path().to_owned()))
            })
            .collect()
    }
}
