//! Trees packed with the codec, and an honest source of their blocks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ww_loader::contract::Content;
use ww_loader::ipfs::{Source, SourceError};
use ww_loader::ipld::dag_pb::{Link, Node};
use ww_loader::ipld::unixfs::Data;
use ww_loader::ipld::{Cid, Codec, car};
use ww_loader::{Bytes, async_trait};

use crate::server::{Asked, Reply};

pub(crate) type Blocks = BTreeMap<Cid, Bytes>;

/// A tree's root and its blocks.
#[derive(Clone, Default)]
pub(crate) struct Pack {
    pub(crate) blocks: Blocks,
}

impl Pack {
    pub(crate) fn tree(&mut self, sample: &[(&str, Content)]) -> Cid {
        let mut entries: BTreeMap<&str, Vec<(&str, Content)>> = BTreeMap::new();
        let mut links = Vec::new();
        for (path, content) in sample {
            match path.split_once('/') {
                Some((name, rest)) => entries.entry(name).or_default().push((rest, *content)),
                None => {
                    let cid = match content {
                        Content::File(bytes) => self.file(bytes, 65_536, 3),
                        Content::Link(target) => {
                            let data = Data::symlink(target.as_bytes());
                            self.node(Vec::new(), data)
                        }
                    };
                    links.push(Link::new(path, cid, 0));
                }
            }
        }
        for (name, below) in entries {
            let cid = self.tree(&below);
            links.push(Link::new(name, cid, 0));
        }
        self.node(links, Data::directory())
    }

    /// A balanced tree of chunks.
    pub(crate) fn file(&mut self, bytes: &[u8], chunk: usize, width: usize) -> Cid {
        let mut level: Vec<(u64, Cid)> = bytes
            .chunks(chunk)
            .map(|chunk| (chunk.len() as u64, self.raw(chunk)))
            .collect();
        if level.is_empty() {
            return self.raw(b"");
        }
        while level.len() > 1 {
            level = level
                .chunks(width)
                .map(|parts| {
                    let sizes: Vec<_> = parts.iter().map(|(size, _)| *size).collect();
                    let links = parts
                        .iter()
                        .map(|(size, cid)| Link::new("", cid.clone(), *size));
                    let cid = self.node(links.collect(), Data::file(None, sizes.clone()));
                    (sizes.iter().sum(), cid)
                })
                .collect();
        }
        level.remove(0).1
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Cid {
        let cid = Cid::of(Codec::Raw, bytes);
        self.blocks
            .insert(cid.clone(), Bytes::copy_from_slice(bytes));
        cid
    }

    pub(crate) fn node(&mut self, links: Vec<Link>, data: Data) -> Cid {
        let data = Some(data.encode().into());
        let block = Node { links, data }.encode();
        let cid = Cid::of(Codec::DagPb, &block);
        self.blocks.insert(cid.clone(), block.into());
        cid
    }
}

/// Gives blocks from memory and counts what it is asked for.
#[derive(Clone, Default)]
pub(crate) struct Held {
    pub(crate) blocks: Blocks,
    pub(crate) asked: Arc<Mutex<Vec<Cid>>>,
}

impl Held {
    pub(crate) fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            ..Self::default()
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Source for Held {
    fn name(&self) -> &str {
        "held"
    }

    async fn block(&self, cid: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        self.asked.lock().unwrap().push(cid.clone());
        // As if it took time.
        futures_lite::future::yield_now().await;
        let mut blocks = self.blocks.iter();
        let same = blocks.find(|(held, _)| held.multihash() == cid.multihash());
        same.map(|(_, block)| block.clone())
            .ok_or(SourceError::Missing)
    }
}

/// What an honest gateway answers.
pub(crate) fn gateway(blocks: Blocks) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let root = path.trim_start_matches("/ipfs/").split('/').next();
        let Some(cid) = root.and_then(|root| root.parse().ok()) else {
            return Reply::Whole(400, b"no CID".to_vec());
        };
        match blocks.get(&cid) {
            None => Reply::Whole(404, b"no such block".to_vec()),
            Some(block) if query == "format=raw" => Reply::Whole(200, block.to_vec()),
            Some(_) => Reply::Whole(200, archive(&blocks)),
        }
    }
}

/// A CAR of all blocks.
pub(crate) fn archive(blocks: &Blocks) -> Vec<u8> {
    let mut bytes = car::header(&[]);
    for (cid, block) in blocks {
        bytes.extend(car::section(cid, block));
    }
    bytes
}
