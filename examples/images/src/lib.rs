//! The guests of the examples and tests, built and laid out as images.
//!
//! The build script compiles `examples/guests` for wasm32-wasip2 and puts
//! every guest into an image beside this crate:
//!
//! ```text
//! examples/images/pid0/bin/main.wasm
//!                      svc/echo-child/bin/main.wasm
//! ```
//!
//! ```
//! let image = example_images::path("hello");
//! assert!(image.join("bin/main.wasm").is_file());
//! assert!(example_images::wasm("hello").starts_with(b"\0asm"));
//! ```

mod catalog;

use std::path::{Path, PathBuf};

use catalog::{CATALOG, Entry};

/// The names of all images, in alphabetical order.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOG.iter().map(|entry| entry.name)
}

/// The names of the images that an image holds under `svc/`.
///
/// # Panics
///
/// When there is no image of that name.
pub fn services(name: &str) -> &'static [&'static str] {
    entry(name).services
}

/// The directory of an image.
///
/// # Panics
///
/// When there is no image of that name.
pub fn path(name: &str) -> PathBuf {
    let name = entry(name).name;
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The component of an image, its `bin/main.wasm`.
///
/// # Panics
///
/// When there is no image of that name, or its files were deleted.
pub fn wasm(name: &str) -> Vec<u8> {
    let path = path(name).join("bin/main.wasm");
    match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn entry(name: &str) -> &'static Entry {
    match CATALOG.iter().find(|entry| entry.name == name) {
        Some(entry) => entry,
        None => panic!("no image named {name}"),
    }
}
