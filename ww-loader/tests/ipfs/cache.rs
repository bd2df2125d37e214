//! Blocks that were had before are had again, and only those.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path as HostPath;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake};
use std::time::Duration;

use futures_lite::future::{block_on, zip};
use ww_loader::ipfs::{Blocks, Disk, Error, Ipfs, Source, SourceError};
use ww_loader::ipld::dag_pb::Link;
use ww_loader::ipld::unixfs::Data;
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Bytes, Loader, Node, Path, async_trait};

use crate::kept::kept;
use crate::pack::{Held, Pack};

fn some(count: usize, len: usize) -> (Pack, Vec<Cid>) {
    let mut pack = Pack::default();
    let cids = (0..count).map(|n| pack.raw(&vec![u8::try_from(n).unwrap(); len]));
    let cids = cids.collect();
    (pack, cids)
}

fn files(dir: &HostPath) -> Vec<fs::DirEntry> {
    fs::read_dir(dir).unwrap().map(Result::unwrap).collect()
}

#[test]
fn memory_is_bounded_and_forgets_what_was_used_longest_ago() {
    let (pack, cids) = some(10, 1000);
    let held = Held::new(pack.blocks);
    let blocks = Blocks::builder().memory(4000).source(held.clone()).build();
    let get = |n: usize| assert_eq!(block_on(blocks.block(&cids[n])).unwrap().len(), 1000);
    (0..3).for_each(get);
    get(0);
    get(3);
    assert_eq!(held.asked(), 4);
    get(0);
    assert_eq!(held.asked(), 4, "0 was used after 1");
    get(1);
    assert_eq!(held.asked(), 5, "1 made room for 3");
}

#[test]
fn a_block_that_several_want_is_asked_for_once() {
    let (pack, cids) = some(1, 10);
    let held = Held::new(pack.blocks);
    let blocks = Blocks::builder().memory(0).source(held.clone()).build();
    let v0 = Cid::v0_of(&[0; 10]);
    let both = zip(blocks.block(&cids[0]), blocks.block(&v0));
    let (one, other) = block_on(both);
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(held.asked(), 1);
}

/// Tells when somebody who waits is to be polled.
struct Woken(mpsc::Sender<()>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        // Once is enough.
        let _ = self.0.send(());
    }
}

#[test]
fn what_was_fetched_while_somebody_looked_on_disk_is_not_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let (pack, cids) = some(1, 100);
    let held = Held::new(pack.blocks);
    let blocks = Blocks::builder()
        .source(held.clone())
        .disk(Disk::open(dir.path().join("blocks"), 1 << 20).unwrap())
        .build();
    let mut slow = Box::pin(blocks.block(&cids[0]));
    let (looked, looks) = mpsc::channel();
    let waker = Arc::new(Woken(looked)).into();
    let polled = slow.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    looks.recv().expect("it was not on disk");
    block_on(blocks.block(&cids[0])).unwrap();
    block_on(slow).unwrap();
    assert_eq!(held.asked(), 1);
}

#[test]
fn what_is_on_disk_needs_no_source() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made/here");
    let (pack, cids) = some(3, 100);
    let disk = Disk::open(&dir, 1 << 20).unwrap();
    assert_eq!(
        fs::metadata(&dir).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let first = Blocks::builder()
        .source(Held::new(pack.blocks))
        .disk(disk.clone());
    let first = first.build();
    for cid in &cids {
        block_on(first.block(cid)).unwrap();
    }
    assert_eq!(files(&dir).len(), 3);
    let again = Blocks::builder()
        .disk(Disk::open(&dir, 1 << 20).unwrap())
        .build();
    for cid in &cids {
        cid.verify(&block_on(again.block(cid)).unwrap()).unwrap();
    }
    let other = Cid::of(Codec::Raw, b"never had");
    assert!(matches!(
        block_on(again.block(&other)),
        Err(Error::Unavailable { attempts, .. }) if attempts.is_empty()
    ));
}

#[test]
fn a_file_that_was_cut_edited_or_replaced_is_not_believed() {
    type Tamper = Box<dyn Fn(&HostPath)>;
    let tamper: [(&str, Tamper); 6] = [
        ("cut", Box::new(|file| fs::write(file, [0; 50]).unwrap())),
        ("emptied", Box::new(|file| fs::write(file, []).unwrap())),
        (
            "edited",
            Box::new(|file| fs::write(file, [9; 100]).unwrap()),
        ),
        (
            "grown",
            Box::new(|file| fs::write(file, vec![0; 8 << 20]).unwrap()),
        ),
        (
            "linked",
            Box::new(|file| {
                fs::remove_file(file).unwrap();
                std::os::unix::fs::symlink("/dev/zero", file).unwrap();
            }),
        ),
        (
            "made a directory",
            Box::new(|file| {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
            }),
        ),
    ];
    for (name, tamper) in tamper {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("blocks");
        let (pack, cids) = some(1, 100);
        let source = Held::new(pack.blocks);
        let blocks = |disk| {
            Blocks::builder()
                .memory(0)
                .source(source.clone())
                .disk(disk)
                .build()
        };
        let open = || Disk::open(&dir, 1 << 20).unwrap();
        block_on(blocks(open()).block(&cids[0])).unwrap();
        tamper(&files(&dir)[0].path());
        let alone = Blocks::builder().memory(0).disk(open()).build();
        assert!(block_on(alone.block(&cids[0])).is_err(), "{name}");
        let block = block_on(blocks(open()).block(&cids[0])).unwrap();
        assert_eq!(block, vec![0; 100], "{name}");
        let left: Vec<_> = files(&dir).iter().map(|file| file.file_name()).collect();
        assert!(left.len() <= 1, "{name}: {left:?}");
    }
}

#[test]
fn disk_is_bounded_and_nothing_half_written_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("blocks");
    let (pack, cids) = some(50, 1000);
    // Each takes a page of 4 KiB.
    let disk = Disk::open(&dir, 40_000).unwrap();
    let blocks = Blocks::builder()
        .memory(0)
        .source(Held::new(pack.blocks))
        .disk(disk)
        .build();
    for cid in &cids {
        block_on(blocks.block(cid)).unwrap();
        let count = files(&dir).len();
        assert!(count <= 9, "{count}");
    }
    assert!(files(&dir).len() >= 5);
    // What a writer left behind, and what another is writing: its lock tells.
    let [left, written] = [".new-1-1", ".new-1-2"].map(|name| dir.join(name));
    for file in [&left, &written] {
        fs::write(file, "half").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let writer = fs::File::open(&written).unwrap();
    writer.lock().unwrap();
    Disk::open(&dir, 5000).unwrap();
    assert!(!left.exists() && written.exists());
    assert_eq!(files(&dir).len(), 2);
    drop(writer);
    Disk::open(&dir, 5000).unwrap();
    assert!(!written.exists());
    // Where locks tell nothing, age does: this one lets others in, so it is not
    // opened.
    for (age, stays) in [(60, true), (86_400, false)] {
        fs::write(&written, "half").unwrap();
        fs::set_permissions(&written, fs::Permissions::from_mode(0o644)).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        let file = fs::File::options().write(true).open(&written).unwrap();
        file.set_modified(then).unwrap();
        Disk::open(&dir, 5000).unwrap();
        assert_eq!(written.exists(), stays, "after {age} seconds");
    }
}

#[test]
fn a_directory_that_lets_others_in_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("open");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let error = Disk::open(&path, 1).unwrap_err();
    assert!(error.to_string().contains("mode is 755"), "{error}");
    assert!(error.to_string().contains("open"), "{error}");
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(Disk::open(dir.path().join("file"), 1).is_err());
}

#[test]
fn cells_on_many_threads_share_one() {
    let (pack, cids) = some(20, 1000);
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("blocks");
    let disk = Disk::open(&place, 30_000).unwrap();
    let source = Held::new(pack.blocks);
    let blocks = Blocks::builder()
        .memory(5_000)
        .source(source)
        .disk(disk)
        .build();
    let cids = Arc::new(cids);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (blocks, cids) = (blocks.clone(), cids.clone());
            std::thread::spawn(move || {
                for cid in cids.iter().cycle().take(100) {
                    cid.verify(&block_on(blocks.block(cid)).unwrap()).unwrap();
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let kept = kept(&place);
    assert!(
        kept.bytes <= 30_000 && kept.unfinished == 0,
        "{}",
        kept.bytes
    );
}

#[test]
fn a_directory_that_takes_nothing_keeps_nobody_from_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("blocks");
    let (pack, cids) = some(2, 100);
    let held = Held::new(pack.blocks);
    let blocks = Blocks::builder()
        .memory(0)
        .source(held.clone())
        .disk(Disk::open(&place, 1 << 20).unwrap())
        .build();
    let get = |n: usize| block_on(blocks.block(&cids[n])).unwrap();
    get(0);
    // Gone, and something else in its place, which is left alone.
    fs::remove_dir_all(&place).unwrap();
    fs::create_dir(&place).unwrap();
    for asked in 2..5 {
        assert_eq!(get(1), vec![1; 100]);
        assert_eq!(held.asked(), asked);
    }
    assert!(files(&place).is_empty());
}

#[test]
fn who_opens_a_directory_takes_nothing_from_who_writes_there() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("blocks");
    let (pack, cids) = some(100, 1 << 20);
    let open = || Disk::open(&dir, 1 << 30).unwrap();
    let blocks = Blocks::builder()
        .memory(0)
        .source(Held::new(pack.blocks))
        .disk(open())
        .build();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                open();
            }
        });
        for cid in &cids {
            block_on(blocks.block(cid)).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(files(&dir).len(), cids.len());
}

/// Gives blocks that are counted for as long as anybody has them.
#[derive(Clone, Default)]
struct Counted {
    blocks: crate::pack::Blocks,
    live: Arc<AtomicUsize>,
}

struct Piece(Bytes, Arc<AtomicUsize>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Source for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    async fn block(&self, cid: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        let block = self.blocks.get(cid).ok_or(SourceError::Missing)?;
        self.live.fetch_add(block.len(), Ordering::Relaxed);
        let piece = Piece(block.clone(), self.live.clone());
        Ok(Bytes::from_owner(piece))
    }
}

#[test]
fn open_files_hold_no_blocks() {
    let mut pack = Pack::default();
    let (mut links, mut files) = (Vec::new(), Vec::new());
    for n in 0..64_u8 {
        // A block by itself, and a node with bytes of its own and many links.
        let raw = vec![n; 1 << 20];
        let part = Cid::inlined(Codec::Raw, &[n]).unwrap();
        let parts = (0..1000).map(|_| Link::new("", part.clone(), 1));
        let own = Bytes::from(vec![n; 1 << 19]);
        let node = Data::file(Some(own), vec![1; 1000]);
        for (name, cid, len) in [
            (format!("raw{n}"), pack.raw(&raw), 1 << 20),
            (
                format!("node{n}"),
                pack.node(parts.collect(), node),
                (1 << 19) + 1000,
            ),
        ] {
            links.push(Link::new(&name, cid, 0));
            files.push((name, n, len));
        }
    }
    let root = pack.node(links, Data::directory());
    let source = Counted {
        blocks: pack.blocks,
        ..Counted::default()
    };
    let blocks = Blocks::builder().memory(1 << 20).source(source.clone());
    let loader = Ipfs::new(root.into(), &blocks.build());
    let open = |name: &str| match block_on(loader.open(&Path::new(name).unwrap())) {
        Ok(Node::File(file)) => file,
        other => panic!("{name}: {other:?}"),
    };
    let held: Vec<_> = files.iter().map(|(name, ..)| open(name)).collect();
    let live = source.live.load(Ordering::Relaxed);
    assert!(live <= 1 << 20, "{live} bytes are live");
    for ((name, n, len), file) in files.iter().zip(held) {
        assert_eq!(file.len(), *len, "{name}");
        let end = block_on(file.read_at(len - 2, 9)).unwrap();
        assert_eq!(end, [*n; 2][..], "{name}");
    }
}

#[test]
fn files_that_are_no_blocks_are_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("blocks");
    let (pack, cids) = some(20, 1000);
    let open = || Disk::open(&dir, 40_000).unwrap();
    open();
    // The last two are called as entries of a cache of programs are, and as a
    // hash that is the block itself.
    let program = "0123456789abcdef".repeat(4);
    let others = ["notes.txt", "notes", "key", &program, "aaaa"];
    for name in others {
        fs::write(dir.join(name), vec![0; 1 << 20]).unwrap();
    }
    let blocks = Blocks::builder()
        .memory(0)
        .source(Held::new(pack.blocks))
        .disk(open());
    let blocks = blocks.build();
    for cid in &cids {
        block_on(blocks.block(cid)).unwrap();
    }
    open();
    for name in others {
        assert!(dir.join(name).exists(), "{name}");
    }
    let count = files(&dir).len() - others.len();
    assert!((5..=9).contains(&count), "{count}");
}

#[test]
fn who_shares_a_directory_keeps_to_its_bound_together() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("blocks");
    // Together 0.9 MiB, twice.
    let (pack, cids) = some(28, 64 << 10);
    let open = || {
        Blocks::builder()
            .memory(0)
            .source(Held::new(pack.blocks.clone()))
            .disk(Disk::open(&dir, 1 << 20).unwrap())
            .build()
    };
    let both = [open(), open()];
    for (blocks, cids) in both.iter().zip(cids.chunks(14)) {
        for cid in cids {
            block_on(blocks.block(cid)).unwrap();
        }
    }
    let kept = kept(&dir);
    assert!(kept.bytes <= 1 << 20, "{}", kept.bytes);
    assert!(kept.bytes >= 800 << 10, "{}", kept.bytes);
}
