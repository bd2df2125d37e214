//! Trees as blocks of UnixFS, and a source that has them in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use ww_loader::ipfs::{Source, SourceError};
use ww_loader::ipld::dag_pb::{Link, Node};
use ww_loader::ipld::unixfs::Data;
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Bytes, async_trait};

/// What the profile `unixfs-v1-2025` of IPIP-499 says of files.
const CHUNK: usize = 1 << 20;
const WIDTH: usize = 1024;

/// Blocks that cannot fail to come, and cost nothing to get.
#[derive(Clone, Default)]
pub struct Held(BTreeMap<Cid, Bytes>);

impl Held {
    /// The tree of these files, by path, packed as the default profile has it.
    ///
    /// # Panics
    ///
    /// For a file of more than a gibibyte, which one level of links does not
    /// hold.
    pub fn pack(files: &[(String, Bytes)]) -> (Cid, Self) {
        let mut held = Self::default();
        let files: Vec<_> = files
            .iter()
            .map(|(path, bytes)| (path.as_str(), bytes))
            .collect();
        let (root, _) = held.directory(&files);
        (root, held)
    }

    /// A directory's CID, and the bytes of all its blocks.
    fn directory(&mut self, files: &[(&str, &Bytes)]) -> (Cid, u64) {
        let mut below: BTreeMap<&str, Vec<(&str, &Bytes)>> = BTreeMap::new();
        let mut links = BTreeMap::new();
        for (path, bytes) in files {
            match path.split_once('/') {
                Some((name, rest)) => below.entry(name).or_default().push((rest, bytes)),
                None => drop(links.insert(*path, self.file(bytes))),
            }
        }
        for (name, files) in below {
            links.insert(name, self.directory(&files));
        }
        let links = links.into_iter();
        let links = links.map(|(name, (cid, size))| Link::new(name, cid, size));
        self.node(links.collect(), &Data::directory())
    }

    fn file(&mut self, bytes: &Bytes) -> (Cid, u64) {
        if bytes.len() <= CHUNK {
            return (self.put(Codec::Raw, bytes.clone()), bytes.len() as u64);
        }
        assert!(bytes.len() <= CHUNK * WIDTH, "one level is enough here");
        let chunks: Vec<_> = bytes.chunks(CHUNK).collect();
        let sizes = chunks.iter().map(|chunk| chunk.len() as u64).collect();
        let links = chunks.iter().map(|chunk| {
            let cid = self.put(Codec::Raw, Bytes::copy_from_slice(chunk));
            Link::new("", cid, chunk.len() as u64)
        });
        let links = links.collect();
        self.node(links, &Data::file(None, sizes))
    }

    fn node(&mut self, links: Vec<Link>, data: &Data) -> (Cid, u64) {
        let below: u64 = links.iter().filter_map(|link| link.size).sum();
        let data = Some(data.encode().into());
        let block = Bytes::from(Node { links, data }.encode());
        let size = below + block.len() as u64;
        (self.put(Codec::DagPb, block), size)
    }

    fn put(&mut self, codec: Codec, block: Bytes) -> Cid {
        let cid = Cid::of(codec, &block);
        self.0.insert(cid.clone(), block);
        cid
    }
}

#[async_trait]
impl Source for Held {
    fn name(&self) -> &str {
        "held"
    }

    async fn block(&self, cid: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        self.0.get(cid).cloned().ok_or(SourceError::Missing)
    }
}
