//! How long it takes to read a verified file, against hashing the same bytes:
//! `throughput [MEBIBYTES]`.
//!
//! Rounds of subject and peer alternate, and each pair gives one ratio, so that
//! a machine that is busy with other things slows both.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for the command line, which fails by panicking"
)]

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use sha2::{Digest, Sha256};
use ww_loader::ipfs::{Blocks, Ipfs, Source, SourceError};
use ww_loader::ipld::dag_pb::{Link, Node};
use ww_loader::ipld::unixfs::Data;
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Bytes, Loader, Path, async_trait};

/// What the profile `unixfs-v1-2025` of IPIP-499 says of files.
const CHUNK: usize = 1 << 20;
const WIDTH: usize = 1024;

/// Bytes of a read.
const READ: usize = 8 << 20;

const ROUNDS: usize = 15;

fn main() {
    let mebibytes = env::args().nth(1).map_or(64, |text| text.parse().unwrap());
    let bytes: Vec<u8> = (0..mebibytes << 20).map(|at| (at % 65_521) as u8).collect();
    let (root, held) = pack(&bytes);
    let source = || Held(held.clone());
    let whole = usize::MAX;

    row("a source, nothing kept", &bytes, || {
        let blocks = Blocks::builder().memory(4 * CHUNK).source(source()).build();
        read(&root, &blocks, bytes.len());
    });
    #[cfg(unix)]
    {
        use ww_loader::ipfs::Disk;

        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path().join("blocks"), u64::MAX).unwrap();
        let open = || Blocks::builder().memory(4 * CHUNK).disk(disk.clone());
        read(&root, &open().source(source()).build(), bytes.len());
        row("disk", &bytes, || read(&root, &open().build(), bytes.len()));
    }
    let blocks = Blocks::builder().memory(whole).source(source()).build();
    read(&root, &blocks, bytes.len());
    row("memory, checked before", &bytes, || {
        read(&root, &blocks, bytes.len());
    });
}

/// Prints the median of the ratios of `subject` to the hash, their quartiles,
/// and the hash's own rate.
fn row(name: &str, bytes: &[u8], subject: impl Fn()) {
    let mut ratios = Vec::new();
    let mut hashed = Vec::new();
    for _ in 0..ROUNDS {
        let peer = timed(|| {
            std::hint::black_box(Sha256::digest(bytes));
        });
        ratios.push(timed(&subject).as_secs_f64() / peer.as_secs_f64());
        hashed.push(peer.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    hashed.sort_by(f64::total_cmp);
    let rate = bytes.len() as f64 / f64::from(1 << 20) / hashed[ROUNDS / 2];
    println!(
        "{name:24} {:.2} of the hash ({:.2} to {:.2}), which is {rate:.0} MiB/s",
        ratios[ROUNDS / 2],
        ratios[ROUNDS / 4],
        ratios[ROUNDS * 3 / 4],
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn read(root: &Cid, blocks: &Blocks, len: usize) {
    let loader = Ipfs::new(root.clone().into(), blocks);
    block_on(async {
        let ww_loader::Node::File(file) = loader.open(&Path::new("f").unwrap()).await.unwrap()
        else {
            panic!("a file");
        };
        for offset in (0..len).step_by(READ) {
            let piece = file.read_at(offset as u64, READ).await.unwrap();
            std::hint::black_box(piece);
        }
    });
}

fn pack(bytes: &[u8]) -> (Cid, BTreeMap<Cid, Bytes>) {
    let mut held = BTreeMap::new();
    let mut put = |codec, block: Bytes| {
        let cid = Cid::of(codec, &block);
        held.insert(cid.clone(), block);
        cid
    };
    let chunks: Vec<_> = bytes.chunks(CHUNK).collect();
    assert!(chunks.len() <= WIDTH, "one level is enough here");
    let sizes = chunks.iter().map(|chunk| chunk.len() as u64).collect();
    let links = chunks.iter().map(|chunk| {
        let cid = put(Codec::Raw, Bytes::copy_from_slice(chunk));
        Link::new("", cid, chunk.len() as u64)
    });
    let links = links.collect();
    let mut node = |links, data: Data| {
        let data = Some(data.encode().into());
        put(Codec::DagPb, Node { links, data }.encode().into())
    };
    let file = node(links, Data::file(None, sizes));
    let root = node(vec![Link::new("f", file, 0)], Data::directory());
    (root, held)
}

struct Held(BTreeMap<Cid, Bytes>);

#[async_trait]
impl Source for Held {
    fn name(&self) -> &str {
        "held"
    }

    async fn block(&self, cid: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        self.0.get(cid).cloned().ok_or(SourceError::Missing)
    }
}
