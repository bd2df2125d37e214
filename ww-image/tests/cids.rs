//! CIDs that an independent implementation computed, and how they come about.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_lite::future::block_on;
use support::{image, known};
use ww_image::{Error, Image, Layer, Path, Profile};
use ww_loader::{Bytes, Entry, File, Kind, Loader, Memory, Node, async_trait};

const PROFILES: [Profile; 2] = [Profile::UnixFsV1_2025, Profile::UnixFsV0_2015];

fn cid(image: &Image, profile: Profile) -> String {
    let cid = block_on(image.hashing().profile(profile).cid()).unwrap();
    cid.to_string()
}

#[test]
fn cids_are_those_of_another_implementation() {
    for tree in known() {
        for (profile, wanted) in PROFILES.into_iter().zip(tree.cids) {
            let ours = cid(&image(&tree.tree), profile);
            assert_eq!(ours, wanted, "{}, {profile}", tree.name);
        }
    }
}

#[test]
fn the_default_profile_is_the_modern_one() {
    let image = Image::from(Memory::new());
    let cid = block_on(image.cid()).unwrap();
    let empty = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";
    assert_eq!(cid.to_string(), empty);
    assert_eq!(Profile::default(), Profile::UnixFsV1_2025);
}

#[test]
fn what_an_image_is_and_not_how_it_is_layered_decides() {
    let base = Memory::files([("bin/main.wasm", "1"), ("etc/motd", "old"), ("etc/a", "a")]);
    let site = Memory::files([("etc/motd", "new"), ("svc/chat/bin/main.wasm", "2")]);
    let layered = Image::new([
        Layer::new("base", base.unwrap()),
        Layer::new("site", site.unwrap()),
    ]);
    let flat = Memory::files([
        ("bin/main.wasm", "1"),
        ("etc/a", "a"),
        ("etc/motd", "new"),
        ("svc/chat/bin/main.wasm", "2"),
    ]);
    let flat = Image::from(flat.unwrap());
    let alone = Image::from(Memory::files([("bin/main.wasm", "2")]).unwrap());
    for profile in PROFILES {
        assert_eq!(cid(&layered, profile), cid(&flat, profile));
        let service = block_on(layered.service("chat")).unwrap();
        assert_eq!(cid(&service, profile), cid(&alone, profile));
    }
}

#[test]
fn the_text_of_a_link_counts() {
    let with = |text: &str| {
        let mut tree = Memory::new();
        tree.file(&Path::new("etc/x").unwrap(), "").unwrap();
        tree.link(&Path::new("etc/y").unwrap(), text).unwrap();
        cid(&Image::from(tree), Profile::default())
    };
    assert_ne!(with("x"), with("./x"));
    assert_ne!(with("x"), with("/etc/x"));
}

/// One file of zeros that stands nowhere, and what was asked of it.
#[derive(Clone, Default)]
struct Zeros {
    len: u64,
    longest: Arc<AtomicUsize>,
    read: Arc<AtomicU64>,
}

#[async_trait]
impl File for Zeros {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, ww_loader::Error> {
        self.longest.fetch_max(len, Ordering::Relaxed);
        let len = self.len.saturating_sub(offset).min(len as u64);
        self.read.fetch_add(len, Ordering::Relaxed);
        static CHUNK: [u8; 1 << 20] = [0; 1 << 20];
        Ok(Bytes::from_static(&CHUNK[..usize::try_from(len).unwrap()]))
    }
}

#[async_trait]
impl Loader for Zeros {
    async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
        match path.as_str() {
            "" => {
                let entry = Entry {
                    name: "zeros".into(),
                    kind: Kind::File,
                };
                Ok(Node::Dir(Box::pin(futures_lite::stream::once(Ok(entry)))))
            }
            _ => Ok(Node::File(Arc::new(self.clone()))),
        }
    }
}

#[test]
fn a_file_over_a_gigabyte_is_read_once_in_chunks() {
    let zeros = Zeros {
        len: 1025 << 20,
        ..Zeros::default()
    };
    let image = Image::from(Layer::new("zeros", zeros.clone()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    let observed = image
        .hashing()
        .observe(move |progress| told.lock().unwrap().push(progress));
    let cid = block_on(observed.cid()).unwrap();
    // What `ipfs-unixfs-importer` 17.1.1 computes for a directory with it.
    let theirs = "bafybeiarbvcuzpqlh37rnenljbokh4fqnjvhhds63l6sqb2enz3ldeci4q";
    assert_eq!(cid.to_string(), theirs);
    assert_eq!(zeros.longest.load(Ordering::Relaxed), 1 << 20);
    assert_eq!(zeros.read.load(Ordering::Relaxed), zeros.len);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1026);
    let last = seen.last().unwrap();
    assert_eq!((last.files, last.bytes), (1, zeros.len));
}

#[test]
fn a_file_that_says_it_is_larger_than_any_is_not_read() {
    for len in [1 << 60, u64::MAX, (64 << 30) + 1] {
        let zeros = Zeros {
            len,
            ..Zeros::default()
        };
        let image = Image::from(Layer::new("zeros", zeros.clone()));
        for error in [
            at_once(image.cid()).unwrap_err(),
            at_once(image.pin(empty()).main()).unwrap_err(),
        ] {
            let Error::TooMuch { path, limit, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!((path.as_str(), *limit), ("zeros", Image::BYTES_LIMIT));
        }
        assert_eq!(zeros.read.load(Ordering::Relaxed), 0);
    }
    let two = Memory::files([("a", "123"), ("b", "45")]).unwrap();
    for (limit, fits) in [(5, true), (4, false)] {
        let image = Image::builder().layer(two.clone()).bytes_limit(limit);
        let sealed = block_on(image.build().hashing().seal());
        assert_eq!(sealed.is_ok(), fits, "{limit}");
    }
}

/// What comes within few turns, since nothing has to be waited for.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    for _ in 0..100 {
        if let Some(done) = block_on(futures_lite::future::poll_once(&mut work)) {
            return done;
        }
    }
    panic!("it reads on");
}

/// Files whose bytes are counted for as long as anybody has them.
#[derive(Clone, Default)]
struct Counted {
    live: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Piece(Vec<u8>, Arc<AtomicUsize>);

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
impl File for Counted {
    fn len(&self) -> u64 {
        (8 << 20) + 1
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, ww_loader::Error> {
        // As if it took time, so that others are read meanwhile.
        futures_lite::future::yield_now().await;
        let len = usize::try_from(self.len() - offset).unwrap().min(len);
        let live = self.live.fetch_add(len, Ordering::Relaxed) + len;
        self.most.fetch_max(live, Ordering::Relaxed);
        Ok(Bytes::from_owner(Piece(vec![1; len], self.live.clone())))
    }
}

#[async_trait]
impl Loader for Counted {
    async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
        if !path.is_root() {
            return Ok(Node::File(Arc::new(self.clone())));
        }
        let entries = (0..20).map(|n| {
            let (name, kind) = (format!("{n}"), Kind::File);
            Ok(Entry { name, kind })
        });
        Ok(Node::Dir(Box::pin(futures_lite::stream::iter(entries))))
    }
}

#[test]
fn however_much_is_hashed_few_chunks_are_in_memory() {
    for profile in PROFILES {
        let files = Counted::default();
        let image = Image::from(Layer::new("counted", files.clone()));
        let hashing = image.hashing().profile(profile);
        let free = block_on(hashing.clone().cid()).unwrap();
        let sealed = block_on(hashing.seal()).unwrap();
        assert_eq!(sealed.pinned(), Some(free));
        let most = files.most.load(Ordering::Relaxed);
        assert!((1..=32 << 20).contains(&most), "{profile}: {most} bytes");
        assert_eq!(files.live.load(Ordering::Relaxed), 0, "{profile}");
    }
}

#[test]
fn an_image_that_cannot_be_read_has_no_cid() {
    struct Failing;

    #[async_trait]
    impl Loader for Failing {
        async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
            Err(ww_loader::Error::Io {
                path: path.clone(),
                loader: "failing".into(),
                source: std::io::Error::other("disk on fire"),
            })
        }
    }

    let error = block_on(Image::from(Layer::new("bad", Failing)).cid()).unwrap_err();
    assert!(matches!(error, Error::Layer { .. }), "{error:?}");
    let conflict = Image::new([
        Memory::files([("a", "")]).unwrap(),
        Memory::files([("a/b", "")]).unwrap(),
    ]);
    let error = block_on(conflict.cid()).unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
}

/// Lists names that are none.
struct Names(&'static str);

#[async_trait]
impl Loader for Names {
    async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
        let entry = Entry {
            name: self.0.into(),
            kind: match path.components().count() < 3 {
                true => Kind::Dir,
                false => Kind::File,
            },
        };
        Ok(Node::Dir(Box::pin(futures_lite::stream::once(Ok(entry)))))
    }
}

#[test]
fn a_layer_whose_names_lead_elsewhere_is_refused() {
    for name in ["..", ".", "", "a/b", "/a", "a/.."] {
        let image = Image::from(Layer::new("crooked", Names(name)));
        let error = block_on(image.cid()).unwrap_err();
        assert!(matches!(error, Error::Path(_)), "{name:?}: {error:?}");
    }
}

/// A directory that has itself in it, twice.
struct Endless;

#[async_trait]
impl Loader for Endless {
    async fn open(&self, _: &Path) -> Result<Node, ww_loader::Error> {
        let entries = ["a", "b"].map(|name| {
            let name = name.to_owned();
            let kind = Kind::Dir;
            Ok(Entry { name, kind })
        });
        Ok(Node::Dir(Box::pin(futures_lite::stream::iter(entries))))
    }
}

#[test]
fn a_tree_that_repeats_itself_is_bounded_and_gives_way() {
    let builder = || Image::builder().layer(Layer::new("endless", Endless));
    let free = builder().names_limit(1000).build();
    let pinned = builder().names_limit(1000).pin(empty()).build();
    for error in [
        block_on(free.cid()).unwrap_err(),
        block_on(pinned.read_dir(&Path::root())).unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::TooMany { limit: 1000, .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.starts_with("layer endless: more than 1000 names"),
            "{text}"
        );
    }
    let image = builder().build();
    let mut hashing = Box::pin(image.cid());
    for _ in 0..100 {
        assert!(block_on(futures_lite::future::poll_once(&mut hashing)).is_none());
    }
}

#[test]
fn long_texts_of_links_count_as_names() {
    let with = |text: &str| {
        let mut tree = Memory::new();
        for n in 0..10 {
            tree.link(&Path::new(&n.to_string()).unwrap(), text)
                .unwrap();
        }
        let image = Image::builder().layer(tree).names_limit(100).build();
        block_on(image.hashing().seal())
    };
    assert!(with("x").is_ok());
    let error = with(&"./".repeat(2000)).unwrap_err();
    assert!(
        matches!(error, Error::TooMany { limit: 100, .. }),
        "{error}"
    );
}

/// A directory with a directory in it, and so on.
struct Bottomless;

#[async_trait]
impl Loader for Bottomless {
    async fn open(&self, _: &Path) -> Result<Node, ww_loader::Error> {
        let (name, kind) = ("d".into(), Kind::Dir);
        let entry = Entry { name, kind };
        Ok(Node::Dir(Box::pin(futures_lite::stream::once(Ok(entry)))))
    }
}

#[test]
fn a_tree_without_a_bottom_ends_where_paths_do() {
    let image = Image::from(Layer::new("bottomless", Bottomless));
    for error in [
        block_on(image.cid()).unwrap_err(),
        block_on(image.pin(empty()).main()).unwrap_err(),
    ] {
        let Error::Path(ww_loader::PathError::TooLong { .. }) = &error else {
            panic!("{error:?}");
        };
    }
}

/// The CID of an image with nothing in it.
fn empty() -> ww_image::Cid {
    block_on(Image::from(Memory::new()).cid()).unwrap()
}

#[test]
fn who_hashes_what_is_in_memory_gives_way() {
    let files = (0..1000).map(|n| (format!("{n}"), "x"));
    let image = Image::from(Memory::files(files).unwrap());
    let mut hashing = Box::pin(image.cid());
    let mut turns = 0;
    while block_on(futures_lite::future::poll_once(&mut hashing)).is_none() {
        turns += 1;
    }
    assert!(turns >= 100, "{turns}");
}
