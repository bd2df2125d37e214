//! Against a node that is not ours and answers Kubo's RPC, where `npm ci` was run
//! in `tests/npm` and `tests/kubo`.

use std::time::Duration;

use futures_lite::future::block_on;
use ww_loader::contract::{self, Content};
use ww_loader::http::Ureq;
use ww_loader::ipfs::{Blocks, Error, Ipfs, Kubo, Retry};
use ww_loader::{LoaderExt, Path};

use crate::gateways::Gateways;
use crate::npm::tree;
use crate::pack::{Held, Pack};
use crate::trees::{RECORDED, many};

fn start(test: &str) -> Option<Gateways> {
    Gateways::of(&["npm", "kubo"], test, &[])
}

#[test]
fn a_published_node_serves_trees_that_keep_the_contract() {
    let Some(node) = start("the published node") else {
        return;
    };
    let many = many();
    let plain = RECORDED.iter().filter(|(path, _)| !path.contains('\\'));
    let plain: Vec<_> = plain.copied().collect();
    for (name, sample) in [
        ("v1", RECORDED),
        ("v0", RECORDED),
        ("chunked", RECORDED),
        ("chunked-v0", RECORDED),
        // What the node packed itself.
        ("own", &plain),
        ("narrow", &many),
        ("wide", &many),
    ] {
        let loader = tree(&node, name, Kubo::new(node.get("url"), Ureq::new()));
        block_on(contract::check(&loader, sample))
            .unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
    let hashes = tree(&node, "hashes", Kubo::new(node.get("url"), Ureq::new()));
    for (name, content) in [
        ("inlined", "held by the CID itself"),
        ("old", "as old writers did"),
        ("sha2-512", "by another hash"),
    ] {
        let file = block_on(hashes.load(&Path::new(name).unwrap(), 99)).unwrap();
        assert_eq!(file, content, "{name}");
    }
}

/// A node that lacks a block says nothing: it waits for a peer that has it.
#[test]
fn a_block_that_the_published_node_looks_for_in_vain_comes_from_the_next_source() {
    let Some(node) = start("a block that the published node lacks") else {
        return;
    };
    let mut pack = Pack::default();
    let root = pack.tree(&[("f", Content::File(b"not at the node"))]);
    let mut retry = Retry::default();
    (retry.deadline, retry.rounds) = (Duration::from_millis(100), 1);
    let url = node.get("url");
    let builder = || {
        Blocks::builder()
            .retry(retry)
            .source(Kubo::new(&*url, Ureq::new()))
    };
    let Err(Error::Unavailable { cid, attempts }) = block_on(builder().build().block(&root)) else {
        panic!("nobody has it");
    };
    assert_eq!(
        (cid, attempts.len(), &attempts[0].source),
        (root.clone(), 1, &url)
    );
    let both = builder().source(Held::new(pack.blocks)).build();
    let file = block_on(Ipfs::new(root.into(), &both).load(&Path::new("f").unwrap(), 99));
    assert_eq!(file.unwrap(), "not at the node");
}
