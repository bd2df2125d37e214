//! Links are followed inside the union and never out of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_lite::future::block_on;
use ww_image::{Error, Image, Kind, Layer, Path};
use ww_loader::Memory;

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

/// Files hold their own path; a text with an arrow is a link.
fn layer(name: &'static str, nodes: &[&str]) -> Layer {
    let mut memory = Memory::new();
    for node in nodes {
        match node.split_once(" -> ") {
            Some((link, target)) => memory.link(&path(link), target).unwrap(),
            None => memory.file(&path(node), format!("{name}:{node}")).unwrap(),
        }
    }
    Layer::new(name, memory)
}

fn image() -> Image {
    Image::new([
        layer(
            "base",
            &[
                "usr/lib/x",
                "lib -> usr/lib",
                "etc/absolute -> /usr/lib/x",
                "etc/up -> ../lib/x",
                "etc/chain -> up",
                "etc/other -> site-only",
                "etc/replaced -> nowhere",
                "etc/dangling -> nowhere",
                "etc/self -> self",
                "a -> b",
                "b -> a",
                "deep -> etc/chain/x",
                "grow -> grow/x",
                "home -> /",
            ],
        ),
        layer("site", &["etc/site-only", "etc/replaced", "usr/lib/y"]),
    ])
}

#[test]
fn links_lead_to_what_stands_at_their_target() {
    let cases = [
        ("lib/x", "base:usr/lib/x"),
        ("lib/y", "site:usr/lib/y"),
        ("etc/absolute", "base:usr/lib/x"),
        ("etc/up", "base:usr/lib/x"),
        ("etc/chain", "base:usr/lib/x"),
        ("etc/other", "site:etc/site-only"),
        ("etc/replaced", "site:etc/replaced"),
        ("home/home/lib/x", "base:usr/lib/x"),
    ];
    for (asked, content) in cases {
        assert_eq!(
            block_on(image().read(&path(asked), 99)).unwrap(),
            content,
            "{asked}"
        );
    }
    let through = block_on(image().open(&path("home/lib/y"))).unwrap();
    assert_eq!(through.path(), &path("usr/lib/y"));
    let listed = block_on(image().read_dir(&path("lib"))).unwrap();
    assert_eq!(listed.len(), 2);
}

#[test]
fn the_last_link_is_left_alone_when_asked_so() {
    let cases = [
        ("etc/chain", Kind::Link, "etc/chain"),
        ("etc/dangling", Kind::Link, "etc/dangling"),
        ("home/etc/self", Kind::Link, "etc/self"),
        ("lib", Kind::Link, "lib"),
        ("lib/x", Kind::File, "usr/lib/x"),
        ("home/usr", Kind::Dir, "usr"),
    ];
    for (asked, kind, at) in cases {
        let node = block_on(image().open_link(&path(asked))).unwrap();
        assert_eq!((node.kind(), node.path()), (kind, &path(at)), "{asked}");
    }
    let ww_image::Node::Link(link) = block_on(image().open_link(&path("etc/up"))).unwrap() else {
        panic!("a link");
    };
    assert_eq!(
        (link.target(), link.layer().name()),
        (&path("lib/x"), "base")
    );
}

#[test]
fn links_without_end_are_errors() {
    for asked in ["a", "b", "etc/self", "a/x", "grow", "grow/y"] {
        let error = block_on(image().open(&path(asked))).unwrap_err();
        assert!(matches!(error, Error::Loop { .. }), "{asked}: {error:?}");
    }
    let dangling = block_on(image().open(&path("etc/dangling"))).unwrap_err();
    assert!(dangling.is_not_found());
    let below_file = block_on(image().open(&path("deep"))).unwrap_err();
    assert!(
        matches!(below_file, Error::NotDirectory { .. }),
        "{below_file:?}"
    );
}

#[test]
fn a_link_against_a_directory_is_a_conflict() {
    let image = Image::new([layer("base", &["lib -> usr"]), layer("site", &["lib/x"])]);
    for asked in ["lib", "lib/x", "lib/none"] {
        let error = block_on(image.open(&path(asked))).unwrap_err().to_string();
        assert_eq!(
            error,
            "lib is a directory in layer site but a link in layer base"
        );
    }
}

#[test]
fn long_chains_are_followed_up_to_the_limit() {
    for (count, fits) in [(Image::MAX_LINKS, true), (Image::MAX_LINKS + 1, false)] {
        let mut nodes: Vec<_> = (0..count).map(|n| format!("{n} -> {}", n + 1)).collect();
        nodes.push(count.to_string());
        let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
        let image = Image::new([layer("base", &nodes)]);
        assert_eq!(block_on(image.open(&path("0"))).is_ok(), fits, "{count}");
    }
}
