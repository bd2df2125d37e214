//! Cells of images that are pinned to a CID, or must be signed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error as _;
use std::fs;

use futures_lite::future::block_on;
use tempfile::TempDir;
use ww_core::Error;
use ww_core::cell::{Builder, Cell};
use ww_image::{Image, PeerId};

/// A component that succeeds (0) or fails (1).
fn component(outcome: u8) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (func (export "run") (result i32) (i32.const {outcome})))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#
    );
    wat::parse_str(text).unwrap()
}

/// A directory whose component succeeds.
fn dir() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    put(&dir, 0);
    dir
}

fn put(dir: &TempDir, outcome: u8) {
    fs::write(dir.path().join("bin/main.wasm"), component(outcome)).unwrap();
}

fn spawn(image: &Image) -> Result<Cell, Error> {
    block_on(Builder::new().image(image).spawn())
}

fn succeeds(cell: &Cell) -> bool {
    block_on(cell.wait()).unwrap().success()
}

#[test]
fn a_cell_tells_the_cid_that_it_runs() {
    let dir = dir();
    let free = Image::from(dir.path());
    let cid = block_on(free.cid()).unwrap();
    let sealed = block_on(free.hashing().seal()).unwrap();
    for image in [free.pin(cid.clone()), sealed.clone()] {
        let cell = spawn(&image).unwrap();
        assert_eq!(cell.image(), Some(&cid));
        assert!(succeeds(&cell));
    }
    assert_eq!(spawn(&free).unwrap().image(), None);
    // A program that is given is not the image's.
    let program = block_on(ww_core::Runtime::new().unwrap().compile(component(1))).unwrap();
    let cell = block_on(Builder::new().image(sealed).program(program).spawn()).unwrap();
    assert_eq!(cell.image(), None);
}

#[test]
fn another_content_does_not_run() {
    let dir = dir();
    let free = Image::from(dir.path());
    let cid = block_on(free.cid()).unwrap();
    put(&dir, 1);
    let error = spawn(&free.pin(cid.clone())).err().unwrap();
    assert!(matches!(&error, Error::Image(_)), "{error:?}");
    let told = error.source().unwrap().to_string();
    assert!(told.contains(&format!("is pinned to {cid}")), "{told}");

    let unsigned = Image::builder()
        .layer(dir.path())
        .signed_by([PeerId::random()])
        .build();
    let told = spawn(&unsigned)
        .err()
        .unwrap()
        .source()
        .unwrap()
        .to_string();
    assert!(told.contains("there is no signature"), "{told}");
}

#[test]
fn what_runs_is_what_was_hashed_although_the_directory_changes() {
    let dir = dir();
    let cid = block_on(Image::from(dir.path()).cid()).unwrap();
    let hashed = Image::from(dir.path()).pin(cid.clone());
    assert_eq!(block_on(hashed.cid()).unwrap(), cid);
    let loaded = Image::from(dir.path()).pin(cid.clone());
    assert!(succeeds(&spawn(&loaded).unwrap()));
    put(&dir, 1);
    // Between hashing and loading: refused.
    let told = spawn(&hashed).err().unwrap().source().unwrap().to_string();
    assert!(
        told.contains("is not what it was when the image was hashed"),
        "{told}"
    );
    // After loading: what was loaded.
    let cell = spawn(&loaded).unwrap();
    assert_eq!(cell.image(), Some(&cid));
    assert!(succeeds(&cell));
}
