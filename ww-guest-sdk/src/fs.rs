//! Files of the guest's image, on the guest's poll loop.
//!
//! The image is mounted at `/`, read only, and `std::fs` reads it as it reads
//! any directory. But a guest that waits there waits as a whole, with its
//! connection and all of its tasks; a [`File`] lets these go on while the host
//! fetches bytes, which for an image from far away takes a while.
//!
//! Opening waits as a whole even so: WASI has it as a plain call, within which
//! the host of such an image looks for the file along its path, far away where
//! it must. Nothing else in the guest runs meanwhile.
//!
//! ```
//! use ww_guest_sdk::{Error, fs};
//!
//! # async fn example() -> Result<(), Error> {
//! let motto = fs::read_to_string("/etc/motto").await?;
//! # Ok(())
//! # }
//! ```

#[cfg(any(target_family = "wasm", test))]
mod failure;
#[cfg(not(target_family = "wasm"))]
#[path = "fs/native.rs"]
mod file;
#[cfg(target_family = "wasm")]
#[path = "fs/file.rs"]
mod file;

use std::{fmt, io};

use futures::AsyncReadExt;

pub use file::File;

/// Reads a whole file into memory. The first poll opens it, which
/// [blocks](File::open).
///
/// # Errors
///
/// Those of [`File::open`] and of reading. How much it is has no bound but the
/// guest's memory; with a [`File`], `take` sets one.
///
/// # Cancel safety
///
/// May be dropped at any time.
pub async fn read(path: impl AsRef<str>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Reads a whole file of text into memory.
///
/// # Errors
///
/// Those of [`read`], and `InvalidData` where it is not UTF-8.
///
/// # Cancel safety
///
/// May be dropped at any time.
pub async fn read_to_string(path: impl AsRef<str>) -> io::Result<String> {
    let bytes = read(path).await?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Refuses a path that is not absolute: a guest has no directory that it is in.
fn check(path: &str) -> io::Result<()> {
    match path.starts_with('/') {
        true => Ok(()),
        false => Err(told(io::ErrorKind::NotFound, path, "paths are absolute")),
    }
}

/// A failure of this kind, with what it is about.
fn told(kind: io::ErrorKind, what: &str, why: impl fmt::Display) -> io::Error {
    io::Error::new(kind, format!("{what}: {why}"))
}
