//! Images of host directories.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

use std::error::Error as _;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use futures_lite::future::block_on;
use tempfile::TempDir;
use ww_image::{Error, Image, Layer, Path};

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

#[test]
fn a_path_is_an_image() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    fs::write(dir.path().join("bin/main.wasm"), "wasm").unwrap();
    let text = dir.path().to_str().unwrap();
    let images: [Image; 5] = [
        text.into(),
        text.to_owned().into(),
        dir.path().into(),
        dir.path().to_owned().into(),
        Layer::from(text).into(),
    ];
    for image in images {
        assert_eq!(block_on(image.main()).unwrap(), "wasm");
        assert_eq!(image.layers()[0].name(), text);
    }
}

#[test]
fn a_missing_or_unreadable_directory_is_told_with_its_name_and_cause() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    symlink("circle", dir.path().join("circle")).unwrap();
    for (name, cause) in [
        ("missing", "No such file"),
        ("file", "Not a directory"),
        ("circle", "symbolic link"),
    ] {
        let error = block_on(Image::from(dir.path().join(name)).main()).unwrap_err();
        assert!(!error.is_not_found(), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        let root = error.source().unwrap();
        assert!(root.to_string().ends_with("cannot be opened"), "{root}");
        let system = root.source().unwrap().to_string();
        assert!(system.contains(cause), "{system}");
    }
}

#[test]
fn links_never_lead_out_of_the_image() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    let root = dir.path().join("image");
    fs::create_dir_all(root.join("etc")).unwrap();
    let absolute = dir.path().join("secret");
    let links = [
        ("etc/up", "../../secret"),
        ("up", "../secret"),
        ("door", ".."),
        ("absolute", absolute.to_str().unwrap()),
        ("first", "etc/second"),
        ("etc/second", "../../secret"),
    ];
    for (link, target) in links {
        symlink(target, root.join(link)).unwrap();
    }
    let image = Image::from(root);
    for asked in ["etc/up", "up", "door", "door/secret", "first"] {
        let error = block_on(image.open(&path(asked))).unwrap_err();
        let Error::Layer { source, .. } = &error else {
            panic!("{asked}: {error:?}");
        };
        assert!(
            matches!(**source, ww_loader::Error::Link { .. }),
            "{asked}: {error:?}"
        );
        assert!(
            source
                .source()
                .unwrap()
                .to_string()
                .contains("leaves its tree")
        );
    }
    // From the image's root there is no such path.
    let absolute = block_on(image.open(&path("absolute"))).unwrap_err();
    assert!(absolute.is_not_found(), "{absolute:?}");
}

#[test]
fn a_name_that_is_not_utf8_fails_the_listing_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    fs::write(dir.path().join("tea"), "tea").unwrap();
    let image = Image::from(dir.path());
    assert_eq!(block_on(image.read(&path("tea"), 9)).unwrap(), "tea");
    let error = block_on(image.read_dir(&Path::root())).unwrap_err();
    let Error::Layer { source, .. } = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*source, ww_loader::Error::Name { .. }));
}

#[test]
fn a_huge_sparse_file_costs_what_is_read_of_it() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    let main = fs::File::create(dir.path().join("bin/main.wasm")).unwrap();
    main.set_len(1 << 40).unwrap();
    let image = Image::from(dir.path());
    let ww_image::Node::File(file) = block_on(image.open(&path("bin/main.wasm"))).unwrap() else {
        panic!("a file");
    };
    assert_eq!(block_on(file.read_at(1 << 39, 512)).unwrap(), [0; 512][..]);
    let error = block_on(image.main()).unwrap_err();
    assert!(matches!(
        error,
        Error::TooLarge {
            limit: Image::MAIN_LIMIT,
            ..
        }
    ));
}
