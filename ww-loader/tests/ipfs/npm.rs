//! Against published implementations, where `npm ci` was run in `tests/npm`.

use futures_lite::future::block_on;
use ww_loader::contract;
use ww_loader::http::{Http, Request, Ureq};
use ww_loader::ipfs::{Blocks, Gateway, Ipfs, IpfsPath, Scope, Source};
use ww_loader::ipld::car::Decoder;
use ww_loader::{Bytes, Loader, LoaderExt, Path};

use crate::gateways::Gateways;
use crate::pack::{self, Held};
use crate::recorded;
use crate::trees::{RECORDED, many};

pub(crate) fn tree(gateways: &Gateways, name: &str, source: impl Source + 'static) -> Ipfs {
    let root = format!("/ipfs/{}", gateways.get(name)).parse().unwrap();
    Ipfs::new(root, &Blocks::builder().source(source).build())
}

#[test]
fn a_published_gateway_serves_trees_that_keep_the_contract() {
    let Some(gateways) = Gateways::start("the published gateway", &[]) else {
        return;
    };
    let url = gateways.get("url");
    let many = many();
    for (name, sample) in [
        ("v1", RECORDED),
        ("chunked-v0", RECORDED),
        ("narrow", &many),
        ("wide", &many),
    ] {
        let loader = tree(&gateways, name, Gateway::new(&*url, Ureq::new()));
        block_on(contract::check(&loader, sample))
            .unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
    let recorded = recorded::roots();
    for (name, cid) in &recorded {
        assert_eq!(
            gateways.get(name),
            cid.to_string(),
            "{name} is not what was recorded"
        );
    }
}

#[test]
fn a_published_gateway_answers_absence_with_success_and_is_not_believed() {
    let Some(gateways) = Gateways::start("absence at the published gateway", &[]) else {
        return;
    };
    for name in ["v1", "narrow"] {
        let loader = tree(
            &gateways,
            name,
            Gateway::new(gateways.get("url"), Ureq::new()),
        );
        let error = block_on(loader.open(&Path::new("none/below").unwrap())).unwrap_err();
        assert!(error.is_not_found(), "{name}: {error}");
    }
}

#[test]
fn one_answer_of_a_published_gateway_brings_a_tree() {
    let Some(gateways) = Gateways::start("prefetching from the published gateway", &[]) else {
        return;
    };
    let blocks = Blocks::builder().source(Gateway::new(gateways.get("url"), Ureq::new()));
    let blocks = blocks.build();
    let root: IpfsPath = format!("/ipfs/{}", gateways.get("chunked"))
        .parse()
        .unwrap();
    block_on(blocks.prefetch(&root, Scope::All)).unwrap();
    let url = gateways.get("url");
    drop(gateways);
    block_on(contract::check(&Ipfs::new(root, &blocks), RECORDED))
        .unwrap_or_else(|broken| panic!("{url}: {broken}"));
}

#[test]
fn records_that_others_sign_are_followed() {
    let Some(gateways) = Gateways::start("records of the published packages", &[]) else {
        return;
    };
    let blocks = Blocks::builder().source(Gateway::new(gateways.get("url"), Ureq::new()));
    let blocks = blocks.build();
    for kind in ["Ed25519", "RSA", "secp256k1", "ECDSA"] {
        let name = format!("/ipns/{}/etc/.hidden", gateways.get(kind));
        let found = block_on(blocks.resolve(&name)).unwrap();
        assert_eq!(
            found.to_string(),
            format!("/ipfs/{}/etc/.hidden", gateways.get("v1")),
            "{kind}"
        );
    }
}

#[test]
fn an_archive_that_others_packed_is_a_tree() {
    let Some(gateways) = Gateways::start("an archive of the published packer", &[]) else {
        return;
    };
    let request = Request::get(format!("{}/packed", gateways.get("url")));
    let response = block_on(Ureq::new().send(request)).unwrap();
    let archive: Bytes = block_on(response.body.read(8 << 20)).unwrap().unwrap();
    let mut decoder = Decoder::new(2 << 20);
    let mut blocks = pack::Blocks::new();
    for piece in archive.chunks(1000) {
        decoder.push(piece);
        while let Some((cid, block)) = decoder.next().unwrap() {
            cid.verify(&block).unwrap();
            blocks.insert(cid, block);
        }
    }
    decoder.finish().unwrap();
    let loader = tree(&gateways, "packed", Held::new(blocks));
    let path = |text| Path::new(text).unwrap();
    assert_eq!(
        block_on(loader.load(&path("a/b.txt"), 99)).unwrap(),
        "packed elsewhere"
    );
    let large = block_on(loader.load(&path("large"), 4 << 20)).unwrap();
    assert_eq!(large.len(), 3 << 20);
    assert!(
        large
            .iter()
            .enumerate()
            .all(|(at, byte)| usize::from(*byte) == at % 251)
    );
}
