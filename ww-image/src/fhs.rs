//! The well-known places of an image, after the Filesystem Hierarchy Standard.
//!
//! Only [`MAIN`] must exist, and only in the union of the layers.

use ww_loader::{Path, PathError};

/// The component an image runs.
pub const MAIN: &str = "bin/main.wasm";
/// Peers to connect to at first: a file for each, named by its peer id, with a
/// multiaddr on every line.
pub const BOOT: &str = "boot";
/// Nested images, a directory for each service.
pub const SVC: &str = "svc";
/// Configuration.
pub const ETC: &str = "etc";
/// Shared WASM libraries.
pub const LIB: &str = "usr/lib";

/// The root of the nested image of service `name`: `svc/<name>`.
///
/// # Errors
///
/// [`PathError`] if `name` is not one component of a path.
pub fn service(name: &str) -> Result<Path, PathError> {
    let path = Path::new(name)?;
    match path.components().count() {
        1 => Path::new(SVC)?.join(&path),
        _ => Err(PathError::NotAName { path: name.into() }),
    }
}
