//! What is read of a pinned image a little at a time, or by many at once, is read once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use futures_lite::future::{block_on, yield_now, zip};
use ww_image::{Error, File, Image, Layer, Node, Path};
use ww_loader::{Loader, Memory, async_trait};

const CHUNK: usize = 1 << 20;
const PIECE: usize = 64 << 10;

/// A tree, how many bytes of its files were asked for, whether it answers yet, and
/// the file that cannot be read.
#[derive(Clone)]
struct Counting {
    tree: Arc<Memory>,
    asked: Arc<AtomicU64>,
    waits: Arc<AtomicBool>,
    fails: Arc<Mutex<Option<Path>>>,
}

struct Counted {
    file: Arc<dyn ww_loader::File>,
    path: Path,
    tree: Counting,
}

#[async_trait]
impl Loader for Counting {
    async fn open(&self, path: &Path) -> Result<ww_loader::Node, ww_loader::Error> {
        Ok(match self.tree.open(path).await? {
            ww_loader::Node::File(file) => ww_loader::Node::File(Arc::new(Counted {
                file,
                path: path.clone(),
                tree: self.clone(),
            })),
            other => other,
        })
    }
}

#[async_trait]
impl ww_loader::File for Counted {
    fn len(&self) -> u64 {
        self.file.len()
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, ww_loader::Error> {
        self.tree.asked.fetch_add(len as u64, Ordering::Relaxed);
        // Others read meanwhile.
        yield_now().await;
        while self.tree.waits.load(Ordering::Relaxed) {
            yield_now().await;
        }
        if *self.tree.fails.lock().expect("it is whole") == Some(self.path.clone()) {
            return Err(ww_loader::Error::Io {
                path: self.path.clone(),
                loader: "counting".into(),
                source: io::ErrorKind::TimedOut.into(),
            });
        }
        self.file.read_at(offset, len).await
    }
}

/// Files of one chunk each, filled with these bytes, of an image that was hashed, and
/// what they are read from.
fn filled(bytes: &[u8]) -> (Vec<File>, Counting) {
    let names: Vec<_> = (0..bytes.len()).map(|number| format!("{number}")).collect();
    let files = names.iter().zip(bytes);
    let files = files.map(|(name, byte)| (name, vec![*byte; CHUNK]));
    let tree = Counting {
        tree: Arc::new(Memory::files(files).expect("the names are good")),
        asked: Arc::default(),
        waits: Arc::default(),
        fails: Arc::default(),
    };
    let image = Image::from(Layer::new("counting", tree.clone()));
    let image = block_on(image.hashing().seal()).expect("it can be read");
    let open = |name: &String| match block_on(image.open(&path(name))).expect("it is there") {
        Node::File(file) => file,
        other => panic!("{name} is {other:?}"),
    };
    let open = names.iter().map(open).collect();
    tree.asked.store(0, Ordering::Relaxed);
    (open, tree)
}

/// So many files that differ, and how many bytes were asked for.
fn files(count: u8) -> (Vec<File>, Arc<AtomicU64>) {
    let bytes: Vec<_> = (0..count).collect();
    let (files, tree) = filled(&bytes);
    (files, tree.asked)
}

/// What many get that read at a time: nobody is answered before all have asked.
fn at_once(tree: &Counting, all: impl Iterator<Item = Read>) -> Vec<Result<Bytes, Error>> {
    tree.waits.store(true, Ordering::Relaxed);
    let answers = async { tree.waits.store(false, Ordering::Relaxed) };
    block_on(zip(join_all(all), answers)).0
}

/// `len` bytes from the start of a file.
fn first(file: &File, len: usize) -> Read {
    let file = file.clone();
    async move { file.read_at(0, len).await }.boxed()
}

type Read = BoxFuture<'static, Result<Bytes, Error>>;

fn path(text: &str) -> Path {
    Path::new(text).expect("it is a path")
}

fn read(file: &File, piece: usize) {
    let bytes = block_on(file.read_at((piece * PIECE) as u64, PIECE)).expect("it can be read");
    assert_eq!(bytes.len(), PIECE);
}

#[test]
fn several_files_that_are_read_by_turns_are_read_once() {
    let (files, asked) = files(9);
    for piece in 0..CHUNK / PIECE {
        files.iter().for_each(|file| read(file, piece));
    }
    let total = files.len() * CHUNK;
    assert_eq!(asked.load(Ordering::Relaxed), total as u64);
}

#[test]
fn a_chunk_that_many_read_at_once_is_kept_once() {
    let (files, asked) = files(2);
    read(&files[1], 0);
    let all = (0..64).map(|_| files[0].read_at(0, PIECE));
    let all = block_on(join_all(all));
    assert!(all.iter().all(Result::is_ok));
    asked.store(0, Ordering::Relaxed);
    files.iter().for_each(|file| read(file, 1));
    assert_eq!(asked.load(Ordering::Relaxed), 0, "both are kept");
}

#[test]
fn a_chunk_that_many_read_at_once_is_read_once() {
    let (files, tree) = filled(&[7]);
    for len in [CHUNK, PIECE] {
        let all = (0..16).map(|_| first(&files[0], len));
        for read in at_once(&tree, all) {
            assert!(read.expect("it can be read") == vec![7; len]);
        }
        let asked = tree.asked.swap(0, Ordering::Relaxed);
        assert_eq!(asked, CHUNK as u64, "{len}");
    }
}

#[test]
fn who_leaves_while_a_chunk_is_read_or_is_not_polled_holds_up_no_other() {
    let (files, tree) = filled(&[7]);
    let begin = || {
        let mut read = first(&files[0], PIECE);
        assert!((&mut read).now_or_never().is_none());
        read
    };
    tree.waits.store(true, Ordering::Relaxed);
    let (leaves, stuck, last) = (begin(), begin(), begin());
    drop(leaves);
    tree.waits.store(false, Ordering::Relaxed);
    assert!(block_on(last).unwrap() == vec![7; PIECE]);
    assert!(block_on(stuck).unwrap() == vec![7; PIECE]);
    assert_eq!(tree.asked.load(Ordering::Relaxed), CHUNK as u64);
}

#[test]
fn a_chunk_that_cannot_be_read_fails_for_all_who_want_it_and_for_nobody_else() {
    // Two files that hold the same.
    let (files, tree) = filled(&[7, 7]);
    *tree.fails.lock().unwrap() = Some(path("0"));
    let all = (0..16).map(|number| first(&files[number % 2], PIECE));
    for (number, read) in at_once(&tree, all).into_iter().enumerate() {
        assert_eq!(read.is_err(), number % 2 == 0, "{number}");
        if let Err(error) = read {
            assert!(error.is_passing(), "{error:?}");
            assert!(matches!(error, Error::Layer { path, .. } if path == *files[0].path()));
        }
    }
    let asked = || tree.asked.swap(0, Ordering::Relaxed);
    assert_eq!(asked(), 2 * CHUNK as u64, "each of the two once");
    read(&files[0], 1);
    assert_eq!(asked(), 0, "the other has it");
}

#[test]
fn a_chunk_that_could_not_be_read_is_read_anew() {
    let (files, tree) = filled(&[7]);
    *tree.fails.lock().unwrap() = Some(path("0"));
    tree.waits.store(true, Ordering::Relaxed);
    let mut slow = first(&files[0], PIECE);
    assert!((&mut slow).now_or_never().is_none());
    tree.waits.store(false, Ordering::Relaxed);
    assert!(block_on(first(&files[0], PIECE)).is_err());
    *tree.fails.lock().unwrap() = None;
    // Though somebody has not yet looked at the failure.
    read(&files[0], 0);
    assert!(block_on(slow).is_err());
}

#[test]
fn what_is_kept_is_bounded_and_what_was_used_longest_ago_goes_first() {
    let (files, asked) = files(33);
    let asked = || asked.swap(0, Ordering::Relaxed);
    let most = 31;
    files[..most].iter().for_each(|file| read(file, 0));
    read(&files[0], 1);
    assert_eq!(asked(), (most * CHUNK) as u64, "the first is kept");
    files[most..].iter().for_each(|file| read(file, 0));
    asked();
    read(&files[0], 2);
    assert_eq!(asked(), 0, "it was used after others");
    read(&files[1], 1);
    assert_eq!(asked(), CHUNK as u64, "it made room");
}
