//! Images within images.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_lite::future::block_on;
use ww_image::{Error, Image, Layer, Node, Path};
use ww_loader::{Memory, Mount};

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

/// Files hold their layer's name; a text with an arrow is a link.
fn layer(name: &'static str, nodes: &[&str]) -> Layer {
    let mut memory = Memory::new();
    for node in nodes {
        match node.split_once(" -> ") {
            Some((link, target)) => memory.link(&path(link), target).unwrap(),
            None => memory.file(&path(node), name).unwrap(),
        }
    }
    Layer::new(name, memory)
}

fn image() -> Image {
    Image::new([
        layer(
            "base",
            &[
                "bin/main.wasm",
                "etc/motd",
                "svc/chat/bin/main.wasm",
                "svc/chat/etc/motd",
                "svc/chat/file",
                "svc/chat/absolute -> /etc/motd",
                "svc/chat/inside -> ../chat/etc/motd",
                "svc/chat/etc/up -> ../bin/main.wasm",
                "svc/chat/etc/out -> ../../../etc/motd",
                "svc/chat/svc/inner/bin/main.wasm",
                "svc/again -> chat",
                "svc/nowhere -> none",
                "svc/readme",
            ],
        ),
        layer("site", &["svc/chat/etc/motd", "etc/hosts"]),
    ])
}

fn chat() -> Image {
    block_on(image().service("chat")).unwrap()
}

#[test]
fn a_service_is_an_image_of_the_same_layers() {
    assert_eq!(block_on(chat().main()).unwrap(), "base");
    let Node::File(motd) = block_on(chat().open(&path("etc/motd"))).unwrap() else {
        panic!("a file");
    };
    assert_eq!(
        (motd.layer().name(), motd.path()),
        ("site", &path("etc/motd"))
    );
    let through_link = block_on(image().service("again")).unwrap();
    assert_eq!(block_on(through_link.main()).unwrap(), "base");
    let inner = block_on(chat().service("inner")).unwrap();
    assert_eq!(block_on(inner.main()).unwrap(), "base");
    let root: Vec<_> = block_on(chat().read_dir(&Path::root())).unwrap();
    let names: Vec<_> = root.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["absolute", "bin", "etc", "file", "inside", "svc"]);
    let absent = block_on(chat().open(&path("etc/hosts"))).unwrap_err();
    assert!(absent.is_not_found(), "{absent}");
    let below = block_on(chat().open(&path("file/x"))).unwrap_err();
    assert!(
        matches!(&below, Error::NotDirectory { at, .. } if *at == path("file")),
        "{below}"
    );
}

#[test]
fn links_in_a_service_mean_what_they_mean_without_its_surroundings() {
    let read = |text: &str| block_on(chat().read(&path(text), 64));
    assert_eq!(read("absolute").unwrap(), "site");
    assert_eq!(read("etc/up").unwrap(), "base");
    for out in ["etc/out", "inside"] {
        let error = read(out).unwrap_err();
        let Error::Layer { source, .. } = &error else {
            panic!("{out}: {error:?}");
        };
        assert!(
            matches!(**source, ww_loader::Error::Link { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn what_is_no_service_is_told() {
    let service = |name: &str| block_on(image().service(name)).unwrap_err();
    assert!(service("none").is_not_found());
    assert!(service("nowhere").is_not_found());
    assert!(matches!(service("readme"), Error::NotDirectory { .. }));
    assert!(matches!(service("a/b"), Error::Path(_)));
    assert!(matches!(service(".."), Error::Path(_)));
    let main = block_on(block_on(image().nested(&path("etc"))).unwrap().main());
    assert!(matches!(main, Err(Error::NoMain { .. })));
}

#[test]
fn services_are_listed() {
    let names = block_on(image().services()).unwrap();
    assert_eq!(names, ["again", "chat", "nowhere"]);
    let none = Image::from(Memory::new());
    assert!(block_on(none.services()).unwrap().is_empty());
}

#[test]
fn a_directory_tells_the_layers_it_is_merged_from() {
    let cases = [
        ("etc", "base site"),
        ("svc", "base site"),
        ("bin", "base"),
        ("svc/chat/bin", "base"),
    ];
    for (text, layers) in cases {
        let Node::Dir(dir) = block_on(image().open(&path(text))).unwrap() else {
            panic!("{text} is a directory");
        };
        let names: Vec<_> = dir.layers().iter().map(Layer::name).collect();
        assert_eq!(names.join(" "), layers, "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_service_that_became_a_file_is_an_error_and_not_an_empty_image() {
    let dir = tempfile::tempdir().unwrap();
    let chat = dir.path().join("svc/chat");
    std::fs::create_dir_all(&chat).unwrap();
    let service = block_on(Image::from(dir.path()).service("chat")).unwrap();
    assert!(
        block_on(service.read_dir(&Path::root()))
            .unwrap()
            .is_empty()
    );
    std::fs::remove_dir(&chat).unwrap();
    std::fs::write(&chat, "").unwrap();
    for asked in ["", "etc", "etc/motd"] {
        let error = block_on(service.open(&path(asked))).unwrap_err();
        assert!(matches!(error, Error::Layer { .. }), "{asked}: {error:?}");
    }
}

#[test]
fn absolute_links_of_a_mounted_tree_lead_to_the_same_from_inside() {
    let mut tree = Memory::files([("etc/motd", "hello"), ("bin/main.wasm", "web")]).unwrap();
    for (at, target) in [("motd", "/etc/motd"), ("usr/lib/motd", "/etc/motd")] {
        tree.link(&path(at), target).unwrap();
    }
    for (at, target) in [("root", "/"), ("usr/root", "/")] {
        tree.link(&path(at), target).unwrap();
    }
    let mount = Mount::new(path("svc/web"), tree);
    let image = Image::from(Layer::new("mount", mount));
    let sealed = block_on(image.hashing().seal()).unwrap();
    for image in [image, sealed] {
        let web = block_on(image.service("web")).unwrap();
        for at in ["motd", "usr/lib/motd", "root/etc/motd", "usr/root/etc/motd"] {
            let outside = path("svc/web").join(&path(at)).unwrap();
            for read in [web.read(&path(at), 9), image.read(&outside, 9)] {
                assert_eq!(block_on(read).unwrap(), "hello", "{at}");
            }
        }
    }
}
