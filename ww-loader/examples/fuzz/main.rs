//! Feeds decoders and the loader what was mutated at random, for as long as it
//! is told to: `fuzz TARGET SECONDS [SEED [INPUT]]`, with `car`, `path`, `record`,
//! `tree` or `unixfs` for the target.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a tool for the command line, which fails by panicking"
)]

mod chance;
mod drive;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chance::Chance;
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use ww_loader::ipfs::ipns::{Name, Record};
use ww_loader::ipfs::{Blocks, Ipfs, IpfsPath, Limits, Source, SourceError};
use ww_loader::ipld::{Cid, Codec, car, dag_pb, unixfs};
use ww_loader::{Bytes, Loader, Node, Path, async_trait};

const RECORDED: &str = include_str!("../../tests/recorded/blocks.txt");

fn main() {
    drive::run(|target, _| {
        let try_one: fn(&Corpus, &mut Chance) = match target {
            "car" => Corpus::car,
            "path" => Corpus::path,
            "record" => Corpus::record,
            "tree" => Corpus::tree,
            "unixfs" => Corpus::unixfs,
            _ => return None,
        };
        let corpus = Corpus::recorded();
        Some(Box::new(move |chance| try_one(&corpus, chance)))
    });
}

/// What mutants descend from.
struct Corpus {
    blocks: Arc<BTreeMap<Cid, Bytes>>,
    keys: Vec<Cid>,
    texts: Vec<String>,
    archive: Vec<u8>,
    records: Vec<(Name, Vec<u8>)>,
}

impl Corpus {
    fn recorded() -> Self {
        let mut blocks = BTreeMap::new();
        let mut texts: Vec<String> = ["a/b", "./a//b/", "../x", "/abs", "a/../..", "\u{e9}/\\n"]
            .map(str::to_owned)
            .into();
        let mut records = Vec::new();
        for line in RECORDED.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["block", cid, base64] => {
                    let bytes = multibase::Base::Base64Pad.decode(base64).unwrap();
                    blocks.insert(cid.parse().unwrap(), Bytes::from(bytes));
                }
                ["name", _, name, base64] => {
                    let bytes = multibase::Base::Base64Pad.decode(base64).unwrap();
                    records.push((name.parse().unwrap(), bytes));
                }
                ["root", _, cid] => {
                    texts.push(cid.to_owned());
                    texts.push(format!("/ipfs/{cid}/etc/a b"));
                }
                _ => {}
            }
        }
        let mut archive = car::header(&[]);
        for (cid, block) in blocks.iter().take(40) {
            archive.extend(car::section(cid, block));
        }
        let key = libp2p_identity::Keypair::generate_ed25519();
        let name = Name::of(&key.public());
        records.push((name.clone(), signed(&key)));
        texts.push(name.to_string());
        texts.push(key.public().to_peer_id().to_string());
        Self {
            keys: blocks.keys().cloned().collect(),
            blocks: Arc::new(blocks),
            texts,
            archive,
            records,
        }
    }

    fn car(&self, chance: &mut Chance) {
        let bytes = chance.mutate(&self.archive);
        let whole = decode(&[&bytes]);
        let cut = chance.below(bytes.len() + 1);
        let (head, tail) = bytes.split_at(cut);
        // However it is cut into pieces, the same comes of it.
        assert_eq!(decode(&[head, tail]), whole);
    }

    fn path(&self, chance: &mut Chance) {
        let text = &self.texts[chance.below(self.texts.len())];
        let bytes = chance.mutate(text.as_bytes());
        if let Ok(path) = Path::from_bytes(&bytes) {
            assert_eq!(Path::new(path.as_str()).unwrap(), path);
            assert!(path.as_str().len() <= Path::MAX_LEN && !path.as_str().contains('\0'));
            assert!(
                path.components()
                    .all(|part| !matches!(part, "" | "." | ".."))
            );
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(path) = Path::root().resolve(&text) {
            assert!(
                path.components()
                    .all(|part| !matches!(part, "" | "." | ".."))
            );
        }
        if let Ok(cid) = text.parse::<Cid>() {
            assert_eq!(cid.to_string().parse::<Cid>().unwrap(), cid);
            let _ = (cid.verify(&bytes), cid.inline(), cid.multihash());
        }
        if let Ok(path) = text.parse::<IpfsPath>() {
            assert_eq!(path.to_string().parse::<IpfsPath>().unwrap(), path);
        }
        if let Ok(name) = text.parse::<Name>() {
            assert_eq!(name.to_string().parse::<Name>().unwrap(), name);
        }
    }

    fn record(&self, chance: &mut Chance) {
        let (name, bytes) = &self.records[chance.below(self.records.len())];
        let now = SystemTime::UNIX_EPOCH;
        let mutant = chance.mutate(bytes);
        if let Ok(record) = Record::verify(name, &mutant, now) {
            let first = Record::verify(name, bytes, now).unwrap();
            assert_eq!(record, first, "forged");
        }
    }

    fn unixfs(&self, chance: &mut Chance) {
        let block = &self.blocks[&self.keys[chance.below(self.keys.len())]];
        let mutant = Bytes::from(chance.mutate(block));
        if let Ok(node) = dag_pb::Node::decode(&mutant) {
            let again = dag_pb::Node::decode(&node.encode().into()).unwrap();
            assert_eq!(again.encode(), node.encode());
            if let Some(data) = node.data {
                data_is_stable(&data);
            }
        }
        data_is_stable(&mutant);
    }

    /// A mutant as the root of a tree whose other blocks are whole.
    fn tree(&self, chance: &mut Chance) {
        let block = &self.blocks[&self.keys[chance.below(self.keys.len())]];
        let mutant = Bytes::from(chance.mutate(block));
        let root = Cid::of(Codec::DagPb, &mutant);
        let held = Held {
            mutant: (root.clone(), mutant),
            blocks: self.blocks.clone(),
        };
        let mut limits = Limits::default();
        limits.names = 1000;
        let blocks = Blocks::builder().limits(limits).source(held).build();
        let loader = Ipfs::new(root.into(), &blocks);
        let mut left = 200;
        block_on(visit(&loader, Path::root(), &mut left));
    }
}

async fn visit(loader: &Ipfs, path: Path, left: &mut usize) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    match loader.open(&path).await {
        Ok(Node::File(file)) => {
            let len = usize::try_from(file.len()).unwrap_or(usize::MAX);
            for offset in [0, file.len() / 2, file.len().saturating_sub(1)] {
                if let Ok(bytes) = file.read_at(offset, 4096).await {
                    let rest = len - usize::try_from(offset).unwrap();
                    assert_eq!(bytes.len(), rest.min(4096));
                }
            }
        }
        Ok(Node::Dir(mut entries)) => {
            while let Some(entry) = entries.next().await {
                let Ok(entry) = entry else { continue };
                let below = path.resolve(&entry.name).unwrap();
                let node = loader.open(&below).await;
                assert!(node.is_ok_and(|node| node.kind() == entry.kind) || *left < 200);
                Box::pin(visit(loader, below, left)).await;
            }
        }
        _ => {}
    }
}

fn decode(pieces: &[&[u8]]) -> (Vec<(Cid, Bytes)>, bool) {
    let mut decoder = car::Decoder::new(1 << 16);
    let mut blocks = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(block)) => blocks.push(block),
                Ok(None) => break,
                Err(_) => return (blocks, false),
            }
        }
    }
    (blocks, decoder.finish().is_ok())
}

fn data_is_stable(bytes: &Bytes) {
    if let Ok(data) = unixfs::Data::decode(bytes) {
        let again = unixfs::Data::decode(&data.encode().into()).unwrap();
        assert_eq!(again, data);
    }
}

/// A record that holds for ever, of `/ipfs/bafkqaaa`.
fn signed(key: &libp2p_identity::Keypair) -> Vec<u8> {
    let mut data = b"\xa5\x63TTL\x01\x65Value\x4e/ipfs/bafkqaaa".to_vec();
    data.extend_from_slice(b"\x68Sequence\x07\x68Validity\x549999-12-31T23:59:59Z");
    data.extend_from_slice(b"\x6cValidityType\x00");
    let signature = key.sign(&[b"ipns-signature:", &data[..]].concat()).unwrap();
    let field = |number: u8, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).unwrap();
        assert!(len < 128);
        [&[number << 3 | 2, len], bytes].concat()
    };
    [field(8, &signature), field(9, &data)].concat()
}

struct Held {
    mutant: (Cid, Bytes),
    blocks: Arc<BTreeMap<Cid, Bytes>>,
}

#[async_trait]
impl Source for Held {
    fn name(&self) -> &str {
        "held"
    }

    async fn block(&self, cid: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        match cid == &self.mutant.0 {
            true => Ok(self.mutant.1.clone()),
            false => self.blocks.get(cid).cloned().ok_or(SourceError::Missing),
        }
    }
}

impl Chance {
    fn mutate(&mut self, bytes: &[u8]) -> Vec<u8> {
        const TELLING: &[&[u8]] = &[
            &[0],
            &[0xff],
            &[0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x12],
            &[0x0a],
            &[0x20],
            b"/",
            b"..",
            b".",
            b"%2e",
            b"\0",
            "\u{202e}".as_bytes(),
        ];
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            match self.below(7) {
                _ if bytes.is_empty() => bytes.push(self.next() as u8),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes.truncate(at),
                3 => drop(bytes.remove(at)),
                4 => bytes.insert(at, self.next() as u8),
                5 => {
                    let end = at + self.below((bytes.len() - at).min(64) + 1);
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => {
                    let telling = TELLING[self.below(TELLING.len())];
                    bytes.splice(at..at, telling.iter().copied());
                }
            }
        }
        bytes
    }
}
