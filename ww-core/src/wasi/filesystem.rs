//! `wasi:filesystem`: images, read only, and scratch, as preopened directories.
//!
//! A descriptor in an image is told by its path from the image's root with
//! every link resolved. An image does not change, so such a path stays true,
//! and two descriptors are the same object when mount and path are equal. One
//! in a scratch directory holds its node open.

use wasmtime::component::Resource;
use ww_image::{File, Image, Path};

use super::Host;
use super::wit::filesystem::preopens;
use super::wit::filesystem::types::ErrorCode;

#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub use self::failure::Failure;
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub use self::listing::Listing;
pub(super) use self::listing::Listings;
pub(super) use self::mount::Mounted;
pub(crate) use self::mount::{Mount, Source};
pub(super) use self::reads::Reads;

use self::failure::code;
use self::scratch::Open;

mod descriptor;
mod failure;
mod listing;
mod mount;
mod reads;
mod refusal;
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

/// Refuses an offset that no file has, with the kernel's code: there it is negative.
fn check_offset(offset: u64) -> Result<(), ErrorCode> {
    match i64::try_from(offset) {
        Ok(_) => Ok(()),
        Err(_) => Err(ErrorCode::Invalid),
    }
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
