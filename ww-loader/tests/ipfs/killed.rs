//! A process that is killed while it keeps blocks leaves nothing but whole ones.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path as HostPath;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;
use ww_loader::ipfs::{Blocks, Disk, Source, SourceError};
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Bytes, async_trait};

use crate::kept::kept;

/// Tells the process that is to be killed where to write, and how much.
const CHILD: &str = "WW_TEST_KEEPS_BLOCKS_IN";
/// The test, which that process runs as well.
const NAME: &str = "killed::a_process_that_is_killed_while_it_keeps_blocks_leaves_only_whole_ones";
const ROUNDS: usize = 32;
const WRITERS: usize = 4;
const BLOCKS: usize = 32;

fn block(n: usize) -> Bytes {
    // Of very different lengths, the longest of which take a while to write.
    let len = [2, 4096, 300_000, 1 << 20][n % 4];
    vec![u8::try_from(n).unwrap(); len - n / 4 % 2].into()
}

fn cids() -> Vec<Cid> {
    (0..BLOCKS)
        .map(|n| Cid::of(Codec::Raw, &block(n)))
        .collect()
}

/// Makes up every block that it is asked for.
struct Maker(Vec<Cid>);

#[async_trait]
impl Source for Maker {
    fn name(&self) -> &str {
        "maker"
    }

    async fn block(&self, cid: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        let n = self.0.iter().position(|held| held == cid);
        n.map(block).ok_or(SourceError::Missing)
    }
}

/// Keeps blocks over and over, where they do not all fit, and tells of each.
fn keep(place: &str) {
    let (most, dir) = place.split_once(' ').unwrap();
    let cids = Arc::new(cids());
    let blocks = Blocks::builder()
        .memory(0)
        .source(Maker(cids.to_vec()))
        .disk(Disk::open(dir, most.parse().unwrap()).unwrap())
        .build();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (blocks, cids) = (blocks.clone(), cids.clone());
            thread::spawn(move || {
                for n in (writer..).step_by(WRITERS).map(|n| n * 7 % BLOCKS) {
                    block_on(blocks.block(&cids[n])).unwrap();
                    let line = format!("kept {n}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
}

/// Has another process keep blocks in `dir`, kills it once it has told of
/// `count`, and answers of which it did.
fn killed_after(count: usize, dir: &HostPath, most: u64) -> BTreeSet<usize> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, format!("{most} {}", dir.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said =
        said.filter_map(|line| Some(line.unwrap().split_once("kept ")?.1.parse().unwrap()));
    let mut kept: BTreeSet<usize> = said.by_ref().take(count).collect();
    // Soon after, in the middle of a block where one is seen.
    let writing = || {
        let names = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names = names.map(|file| file.file_name());
        names.any(|name| name.to_string_lossy().starts_with(".new-"))
    };
    let _ = (0..200).any(|_| writing());
    child.kill().unwrap();
    kept.extend(said);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "{status}");
    kept
}

#[test]
fn a_process_that_is_killed_while_it_keeps_blocks_leaves_only_whole_ones() {
    if let Ok(place) = env::var(CHILD) {
        return keep(&place);
    }
    let cids = cids();
    let place = tempfile::tempdir().unwrap();
    for round in 0..ROUNDS {
        // One that has room for all blocks, anew each time, or for a few of them.
        let roomy = round % 2 == 0;
        let (most, dir) = match roomy {
            true => (1 << 30, place.path().join(format!("{round}"))),
            false => (4 << 20, place.path().join("small")),
        };
        let told = killed_after(round, &dir, most);
        kept(&dir);

        let disk = Disk::open(&dir, most).unwrap();
        let left = kept(&dir);
        assert_eq!(left.unfinished, 0, "round {round}");
        assert!(left.bytes <= most, "round {round}: {} bytes", left.bytes);
        let there = |n: &usize| left.blocks.contains(&cids[*n]);
        assert!(!roomy || told.iter().all(there), "round {round}: {told:?}");
        let blocks = || Blocks::builder().memory(0).disk(disk.clone());
        let alone = blocks().build();
        for (n, cid) in cids.iter().enumerate() {
            let served = block_on(alone.block(cid)).ok();
            let wanted = there(&n).then(|| block(n));
            assert!(served == wanted, "round {round}: block {n}");
        }

        let more = blocks().source(Maker(cids.clone())).build();
        for cid in &cids {
            block_on(more.block(cid)).unwrap();
        }
        let after = kept(&dir);
        assert_eq!(after.unfinished, 0, "round {round}");
        assert!(after.bytes <= most, "round {round}: {} bytes", after.bytes);
        assert!(after.blocks.contains(&cids[BLOCKS - 1]), "round {round}");
        if roomy {
            assert_eq!(after.blocks.len(), BLOCKS, "round {round}");
            fs::remove_dir_all(dir).unwrap();
        }
    }
}
