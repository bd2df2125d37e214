//! Trees are read as they were packed, by us and by others.

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use ww_loader::contract::{self, Content, SAMPLE};
use ww_loader::http::Ureq;
use ww_loader::ipfs::{Blocks, Gateway, Ipfs};
use ww_loader::ipld::dag_pb::Link;
use ww_loader::ipld::unixfs::Data;
use ww_loader::{Error, Kind, Loader, LoaderExt, Node, Path};

use crate::pack::{self, Held, Pack};
use crate::recorded;
use crate::server::Server;

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

pub(crate) const RECORDED: &[(&str, Content)] = &[
    ("bin/main.wasm", Content::File(b"\0asm\r\0\x01\0")),
    ("empty", Content::File(b"")),
    ("etc/a b/...", Content::File(b"dots and spaces")),
    ("etc/.hidden", Content::File(b"hidden")),
    ("etc/\u{e9}\u{4e2d}\\n", Content::File(b"beyond ASCII")),
    (
        "etc-too",
        Content::File(b"sorts between etc and what is in it"),
    ),
    ("large", Content::File(&LARGE)),
    ("a/b/c/d/e/f", Content::File(b"deep")),
];

static LARGE: [u8; 1000] = {
    let mut bytes = [0; 1000];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
};

/// What `many` of `tests/npm/trees.mjs` makes.
pub(crate) fn many() -> Vec<(&'static str, Content)> {
    let leak = |text: String| &*text.leak();
    (0..60)
        .map(|n| {
            let content = leak(format!("content {n}")).as_bytes();
            (leak(format!("file {n}")), Content::File(content))
        })
        .collect()
}

/// A root at `path` of a recorded tree, read from blocks in memory.
fn recorded(name: &str) -> Ipfs {
    let blocks = Blocks::builder().source(Held::new(recorded::blocks()));
    Ipfs::new(recorded::roots()[name].clone().into(), &blocks.build())
}

#[test]
fn trees_that_others_packed_keep_the_contract() {
    let many = many();
    for (name, sample) in [
        ("v1", RECORDED),
        ("v0", RECORDED),
        ("chunked", RECORDED),
        ("chunked-v0", RECORDED),
        ("narrow", &many),
        ("wide", &many),
    ] {
        let loader = recorded(name);
        block_on(contract::check(&loader, sample))
            .unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
}

#[test]
fn our_sample_keeps_the_contract_from_a_source_and_from_a_gateway() {
    let mut pack = Pack::default();
    let root = pack.tree(SAMPLE);
    let server = Server::new(pack::gateway(pack.blocks.clone()));
    let small = Blocks::builder().memory(100_000);
    for builder in [
        small.source(Held::new(pack.blocks.clone())),
        Blocks::builder().source(Held::new(pack.blocks)),
        Blocks::builder().source(Gateway::new(&*server.url, Ureq::new())),
    ] {
        let loader = Ipfs::new(root.clone().into(), &builder.build());
        block_on(contract::check(&loader, SAMPLE)).unwrap();
    }
}

#[test]
fn a_subtree_is_a_root_of_its_own() {
    let mut pack = Pack::default();
    let outer = pack.tree(&[
        ("in/file", Content::File(b"file")),
        ("in/up", Content::Link("../file")),
        ("in/self", Content::Link("file")),
        ("link", Content::Link("in")),
        ("file", Content::File(b"outside")),
    ]);
    let blocks = Blocks::builder().source(Held::new(pack.blocks)).build();
    let at = |text: &str| Ipfs::new(format!("/ipfs/{outer}{text}").parse().unwrap(), &blocks);
    let inner = at("/in");
    assert_eq!(block_on(inner.load(&path("file"), 9)).unwrap(), "file");
    assert!(matches!(
        block_on(inner.open(&path("self"))).unwrap(),
        Node::Link(link) if *link.target() == path("file")
    ));
    assert!(matches!(
        block_on(inner.open(&path("up"))),
        Err(Error::Link { .. })
    ));
    assert!(matches!(
        block_on(inner.open(&path("file/x"))),
        Err(error) if error.not_directory() == Some(&path("file"))
    ));
    for text in [
        "/none",
        "/none/below",
        "/file",
        "/file/below",
        "/link",
        "/link/file",
    ] {
        for below in ["", "x"] {
            let error = block_on(at(text).open(&path(below))).unwrap_err();
            assert!(matches!(error, Error::Root { .. }), "{text}: {error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}

#[test]
fn links_and_metadata_of_others_are_read() {
    let loader = recorded("links");
    assert_eq!(
        block_on(loader.load(&path("file"), 99)).unwrap(),
        "in the node"
    );
    for (link, target) in [
        ("to file", "file"),
        ("absolute", "file"),
        ("itself", "itself"),
    ] {
        let node = block_on(loader.open(&path(link))).unwrap();
        assert!(
            matches!(node, Node::Link(link) if *link.target() == path(target)),
            "{link}"
        );
    }
    let out = block_on(loader.open(&path("out"))).unwrap_err();
    assert!(matches!(out, Error::Link { .. }), "{out}");
    let Node::Dir(entries) = block_on(loader.open(&Path::root())).unwrap() else {
        panic!("a directory");
    };
    let entries: Vec<_> = block_on(entries.try_collect()).unwrap();
    assert_eq!(entries.len(), 5);
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.kind == Kind::Link)
            .count(),
        4
    );
}

#[test]
fn blocks_in_cids_old_leaves_and_other_hashes_are_read() {
    let loader = recorded("hashes");
    for (name, content) in [
        ("inlined", "held by the CID itself"),
        ("old", "as old writers did"),
        ("sha2-512", "by another hash"),
    ] {
        assert_eq!(block_on(loader.load(&path(name), 99)).unwrap(), content);
    }
}

#[test]
fn a_range_asks_for_the_blocks_it_has_bytes_of() {
    let mut pack = Pack::default();
    let bytes: Vec<u8> = (0..64 * 81).map(|n| (n % 253) as u8).collect();
    let file = pack.file(&bytes, 64, 3);
    let root = pack.node(
        vec![ww_loader::ipld::dag_pb::Link::new("f", file, 0)],
        ww_loader::ipld::unixfs::Data::directory(),
    );
    let held = Held::new(pack.blocks);
    let blocks = Blocks::builder().source(held.clone()).build();
    let loader = Ipfs::new(root.into(), &blocks);
    let Node::File(file) = block_on(loader.open(&path("f"))).unwrap() else {
        panic!("a file");
    };
    assert_eq!((file.len(), held.asked()), (64 * 81, 2));
    assert_eq!(
        block_on(file.read_at(64 * 40, 64)).unwrap(),
        bytes[64 * 40..64 * 41]
    );
    assert_eq!(
        held.asked(),
        2 + 4,
        "one block of each level below the root"
    );
    for (offset, len) in [
        (0_usize, 1_usize),
        (63, 2),
        (100, 1000),
        (5000, 9999),
        (0, usize::MAX),
    ] {
        let end = offset.saturating_add(len).min(bytes.len());
        let read = block_on(file.read_at(offset as u64, len)).unwrap();
        assert_eq!(read, bytes[offset..end], "{len} at {offset}");
    }
}

#[test]
fn a_listing_out_of_memory_gives_way() {
    let mut pack = Pack::default();
    let leaf = pack.raw(b"");
    let links = (0..1000).map(|n| Link::new(n.to_string(), leaf.clone(), 0));
    let root = pack.node(links.collect(), Data::directory());
    let blocks = Blocks::builder().source(Held::new(pack.blocks)).build();
    let loader = Ipfs::new(root.into(), &blocks);
    let list = || async {
        let Node::Dir(entries) = loader.open(&Path::root()).await.unwrap() else {
            panic!("a directory");
        };
        entries.count().await
    };
    assert_eq!(block_on(list()), 1000);
    let mut list = Box::pin(list());
    let mut turns = 0;
    while block_on(futures_lite::future::poll_once(&mut list)).is_none() {
        turns += 1;
    }
    assert_eq!(turns, 3);
}
