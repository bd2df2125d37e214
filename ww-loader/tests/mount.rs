//! Loaders around loaders: at a prefix, several at once, asked again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use ww_loader::clock::{Clock, Sleep};
use ww_loader::contract::{self, Content, SAMPLE};
use ww_loader::{
    ChainLoader, Error, Loader, LoaderExt, Memory, Mount, Node, Path, Patient, async_trait,
};

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

#[test]
fn a_mount_keeps_the_contract_at_its_prefix() {
    let mut memory = Memory::new();
    let mut moved = Vec::new();
    for (at, content) in SAMPLE {
        let below = &*format!("deep/down/{at}").leak();
        match content {
            Content::File(bytes) => {
                memory.file(&path(at), *bytes).unwrap();
                moved.push((below, *content));
            }
            Content::Link(target) => {
                memory.link(&path(at), target).unwrap();
                // An absolute target is that of the mounted tree's root.
                if !target.starts_with('/') {
                    moved.push((below, *content));
                } else {
                    let up = "../".repeat(at.matches('/').count());
                    let target = &*format!("{up}{}", &target[1..]).leak();
                    moved.push((below, Content::Link(target)));
                }
            }
        }
    }
    let mount = Mount::new(path("deep/down"), memory);
    block_on(contract::check(&mount, &moved)).unwrap();
    let root = Mount::new(Path::root(), Memory::files([("a", "1")]).unwrap());
    assert_eq!(block_on(root.load(&path("a"), 9)).unwrap(), "1");
}

/// Is asked in vain `times` times.
struct Shaky {
    kind: io::ErrorKind,
    times: AtomicUsize,
}

impl Shaky {
    fn new(kind: io::ErrorKind, times: usize) -> Arc<Self> {
        let times = AtomicUsize::new(times);
        Arc::new(Self { kind, times })
    }
}

#[async_trait]
impl Loader for Shaky {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        let left = self.times.load(Ordering::Relaxed);
        if left == 0 {
            return Ok(Node::File(Arc::new(ww_loader::Bytes::from_static(
                b"there",
            ))));
        }
        self.times.store(left - 1, Ordering::Relaxed);
        Err(Error::Io {
            path: path.clone(),
            loader: "shaky".into(),
            source: self.kind.into(),
        })
    }
}

/// Sleeps take no time and are counted.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Clock for Counting {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        self.0
            .fetch_add(deadline.as_secs() as usize, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn only_what_may_pass_is_asked_again() {
    use io::ErrorKind::{PermissionDenied, TimedOut};
    let second = Duration::from_secs(1);
    for (kind, failures, times, slept, found) in [
        (TimedOut, 0, 4, 0, true),
        (TimedOut, 3, 4, 1 + 2 + 4, true),
        (TimedOut, 4, 4, 1 + 2 + 4, false),
        (TimedOut, 1, 0, 0, false),
        (PermissionDenied, 1, 4, 0, false),
    ] {
        let clock = Counting::default();
        let loader = Patient::new(Shaky::new(kind, failures), clock.clone(), times, second);
        let opened = block_on(loader.open(&path("a")));
        assert_eq!(opened.is_ok(), found, "{kind:?} {failures} {times}");
        assert_eq!(
            clock.0.load(Ordering::Relaxed),
            slept,
            "{kind:?} {failures}"
        );
    }
    let empty = Patient::new(Memory::new(), Counting::default(), 4, second);
    assert!(block_on(empty.open(&path("a"))).unwrap_err().is_not_found());
}

/// Answers once another was asked, too.
struct Waits(async_channel::Receiver<()>);

/// Says that it was asked.
struct Says(async_channel::Sender<()>);

#[async_trait]
impl Loader for Waits {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        self.0.recv().await.unwrap();
        Memory::files([("a", "first")]).unwrap().open(path).await
    }
}

#[async_trait]
impl Loader for Says {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        self.0.send(()).await.unwrap();
        Memory::files([("a", "second"), ("b", "second")])
            .unwrap()
            .open(path)
            .await
    }
}

#[test]
fn loaders_asked_at_once_keep_their_order() {
    let (send, receive) = async_channel::unbounded();
    let chain = ChainLoader::new()
        .then(Waits(receive))
        .then(Says(send))
        .at_once(2);
    assert_eq!(block_on(chain.load(&path("a"), 9)).unwrap(), "first");
    assert_eq!(block_on(chain.load(&path("b"), 9)).unwrap(), "second");
    // No more are asked than may be at once, and none in vain.
    let (send, receive) = async_channel::unbounded();
    let last = Shaky::new(io::ErrorKind::Other, 9);
    let chain = ChainLoader::new()
        .then(Waits(receive))
        .then(Says(send))
        .then(last.clone())
        .at_once(2);
    assert_eq!(block_on(chain.load(&path("a"), 9)).unwrap(), "first");
    assert_eq!(last.times.load(Ordering::Relaxed), 9);
    let failing = ChainLoader::new()
        .then(Memory::new())
        .then(Shaky::new(io::ErrorKind::Other, 9))
        .then(Memory::files([("a", "third")]).unwrap())
        .at_once(3);
    let Error::Chain { errors, .. } = block_on(failing.open(&path("a"))).unwrap_err() else {
        panic!("a chain's error");
    };
    assert!(matches!(
        errors[..],
        [Error::NotFound { .. }, Error::Io { .. }]
    ));
}

#[test]
fn a_mount_lists_the_way_to_its_prefix() {
    let mount = Mount::new(path("a/b"), Memory::new());
    for (at, name) in [("", "a"), ("a", "b")] {
        let Node::Dir(entries) = block_on(mount.open(&path(at))).unwrap() else {
            panic!("a directory");
        };
        let entries: Vec<_> = block_on(entries.try_collect()).unwrap();
        assert_eq!((entries.len(), &*entries[0].name), (1, name));
    }
    assert!(block_on(mount.open(&path("c"))).unwrap_err().is_not_found());
}
