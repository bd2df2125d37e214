//! What is read of a pinned image a little at a time is read once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use futures_lite::future::{block_on, yield_now};
use ww_image::{File, Image, Layer, Node, Path};
use ww_loader::{Loader, Memory, async_trait};

const CHUNK: usize = 1 << 20;
const PIECE: usize = 64 << 10;

/// A tree, and how many bytes of its files were asked for.
#[derive(Clone)]
struct Counting(Arc<Memory>, Arc<AtomicU64>);

struct Counted(Arc<dyn ww_loader::File>, Arc<AtomicU64>);

#[async_trait]
impl Loader for Counting {
    async fn open(&self, path: &Path) -> Result<ww_loader::Node, ww_loader::Error> {
        Ok(match self.0.open(path).await? {
            ww_loader::Node::File(file) => {
                ww_loader::Node::File(Arc::new(Counted(file, self.1.clone())))
            }
            other => other,
        })
    }
}

#[async_trait]
impl ww_loader::File for Counted {
    fn len(&self) -> u64 {
        self.0.len()
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, ww_loader::Error> {
        self.1.fetch_add(len as u64, Ordering::Relaxed);
        // Others read meanwhile.
        yield_now().await;
        self.0.read_at(offset, len).await
    }
}

/// So many files of one chunk each, of an image that was hashed, and what is read of
/// them from then on.
fn files(count: usize) -> (Vec<File>, Arc<AtomicU64>) {
    let names: Vec<_> = (0..count).map(|number| format!("{number}")).collect();
    let content = |number: usize| vec![u8::try_from(number).unwrap(); CHUNK];
    let files = names.iter().enumerate();
    let files = files.map(|(number, name)| (name, content(number)));
    let tree = Counting(Arc::new(Memory::files(files).unwrap()), Arc::default());
    let image = Image::from(Layer::new("counting", tree.clone()));
    let image = block_on(image.hashing().seal()).unwrap();
    let open = |name: &String| match block_on(image.open(&Path::new(name).unwrap())).unwrap() {
        Node::File(file) => file,
        other => panic!("{name} is {other:?}"),
    };
    let open = names.iter().map(open).collect();
    tree.1.store(0, Ordering::Relaxed);
    (open, tree.1)
}

fn read(file: &File, piece: usize) {
    let bytes = block_on(file.read_at((piece * PIECE) as u64, PIECE)).unwrap();
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
