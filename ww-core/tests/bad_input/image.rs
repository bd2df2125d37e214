//! Images that cannot be loaded.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;

use async_trait::async_trait;
use tempfile::TempDir;
use ww_core::Error;
use ww_core::cell::Builder;
use ww_image::{Image, Layer};
use ww_loader::{Loader, Memory, Node, Path};

use crate::cases::{case, check};

/// A loader whose every read fails.
struct Failing;

#[async_trait]
impl Loader for Failing {
    async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
        Err(ww_loader::Error::Io {
            path: path.clone(),
            loader: "the broken disk".into(),
            source: io::Error::other("input/output error"),
        })
    }
}

#[test]
fn an_image_that_cannot_be_loaded_is_told_with_its_path() {
    let root = TempDir::new().expect("a temporary directory");
    let at = |name: &str| root.path().join(name);
    let text = |name: &str| at(name).display().to_string();
    let dirs = [
        "empty/etc",
        "dir/bin/main.wasm",
        "up/bin",
        "abs/bin",
        "loop/bin",
        "gone/bin",
    ];
    for dir in dirs {
        fs::create_dir_all(at(dir)).expect("a directory");
    }
    fs::write(at("file"), "text").expect("a file");
    fs::write(at("outside.wasm"), example_images::wasm("hello")).expect("a file");
    for (link, target) in [
        ("up/bin/main.wasm", "../../outside.wasm"),
        ("abs/bin/main.wasm", "/../outside.wasm"),
        ("loop/bin/main.wasm", "main.wasm"),
        ("gone/bin/main.wasm", "nowhere.wasm"),
    ] {
        symlink(target, at(link)).expect("a link");
    }
    let image = |name: &str| Builder::new().image(at(name));
    let union = Image::builder()
        .layer(at("empty"))
        .layer(Layer::new("the upper one", Memory::new()))
        .build();
    let broken = Image::from(Layer::new("the disk", Failing));
    check([
        case!(
            "a path to nothing",
            image("nowhere"),
            Error::Image(_),
            [text("nowhere")]
        ),
        case!(
            "a path to a file",
            image("file"),
            Error::Image(_),
            [text("file")]
        ),
        case!(
            "no main",
            image("empty"),
            Error::Image(_),
            ["cannot load the image", "no bin/main.wasm", &text("empty")],
        ),
        case!(
            "no main in any layer",
            Builder::new().image(union),
            Error::Image(_),
            ["no bin/main.wasm", "the upper one", &text("empty")],
        ),
        case!(
            "a directory for a main",
            image("dir"),
            Error::Image(_),
            ["bin/main.wasm", "not a file", &text("dir")],
        ),
        case!(
            "a link that climbs out",
            image("up"),
            Error::Image(_),
            ["bin/main.wasm", "../../outside.wasm", "leaves", &text("up")],
        ),
        case!(
            "an absolute link that climbs out",
            image("abs"),
            Error::Image(_),
            ["bin/main.wasm", "/../outside.wasm", &text("abs")],
        ),
        case!(
            "a link to itself",
            image("loop"),
            Error::Image(_),
            ["bin/main.wasm", "too many links"],
        ),
        case!(
            "a link to nothing",
            image("gone"),
            Error::Image(_),
            [text("gone")]
        ),
        case!(
            "a layer that cannot be read",
            Builder::new().image(broken),
            Error::Image(_),
            ["the disk", "bin/main.wasm", "input/output error"],
        ),
    ]);
}
