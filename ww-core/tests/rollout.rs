//! Cells that follow the heads of a tree.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use futures::StreamExt;
use futures::channel::mpsc;
use futures::executor::block_on;
use futures_lite::future::poll_once;
use ww_core::cell::Builder;
use ww_core::workers::{Job, Workers};
use ww_core::{Error, Rollout, RolloutError, Runtime};
use ww_image::{Cid, Image, Layer};
use ww_loader::stem::{Head, StemError};
use ww_loader::{Loader, Memory, Node, Path, async_trait};
use ww_membrane::{Epoch, Epochs};

/// An image of a component that computes for ever, and this beside it.
fn image(motd: &'static str) -> Image {
    const TEXT: &str = r#"(component
        (core module $m
            (func (export "run") (result i32) (loop $again (br $again)) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#;
    let mut files = Memory::files([("etc/motd", motd)]).unwrap();
    let main = Path::new("bin/main.wasm").unwrap();
    files.file(&main, wat::parse_str(TEXT).unwrap()).unwrap();
    Image::from(files)
}

fn cid(image: &Image) -> Cid {
    block_on(image.cid()).unwrap()
}

type Sender = mpsc::UnboundedSender<Result<Head, StemError>>;

/// A world in which images can be had by their CID.
struct World {
    images: Arc<Mutex<BTreeMap<Cid, Image>>>,
    heads: Sender,
    epochs: Epochs,
}

fn world() -> (World, Rollout) {
    let (heads, stream) = mpsc::unbounded();
    let epochs = Epochs::new(Epoch::default());
    let images: Arc<Mutex<BTreeMap<Cid, Image>>> = Arc::default();
    let world = World {
        images: images.clone(),
        heads,
        epochs: epochs.clone(),
    };
    let base = move |head: &Head| {
        let known = images.lock().unwrap().get(&head.cid).cloned();
        let image = known.unwrap_or_else(|| Image::from(Memory::new()));
        Builder::new().image(image.pin(head.cid.clone()))
    };
    (world, Rollout::new(stream, epochs, base))
}

impl World {
    fn has(&self, image: &Image) -> Cid {
        let cid = cid(image);
        let mut images = self.images.lock().unwrap();
        images.insert(cid.clone(), image.clone());
        cid
    }

    fn announce(&self, seq: u64, cid: &Cid) -> Head {
        let head = Head {
            seq,
            cid: cid.clone(),
            block: 100 + seq,
        };
        self.heads.unbounded_send(Ok(head.clone())).unwrap();
        head
    }
}

#[test]
fn each_head_is_an_epoch_and_takes_the_place_of_the_cell_before() {
    let (world, mut rollout) = world();
    assert!(rollout.cell().is_none());
    let one = world.announce(1, &world.has(&image("one")));
    assert_eq!(block_on(rollout.next()).unwrap().unwrap(), one);
    let first = rollout.cell().unwrap();
    assert_eq!(first.image(), Some(&one.cid));
    let ended = first.wait();
    let two = world.announce(7, &world.has(&image("two")));
    assert_eq!(block_on(rollout.next()).unwrap().unwrap(), two);
    // Not to end yet: it had before the next one started.
    let ended = block_on(poll_once(ended));
    assert!(matches!(ended, Some(Err(Error::Killed))), "{ended:?}");
    assert_eq!(rollout.cell().unwrap().image(), Some(&two.cid));
    let epoch = Epoch {
        seq: 7,
        head: two.cid.as_bytes().to_vec(),
        adopted_block: 107,
    };
    assert_eq!(world.epochs.current(), epoch);
    drop(world.heads);
    assert!(block_on(rollout.next()).is_none());
    assert!(rollout.cell().is_some());
}

#[test]
fn a_head_that_cannot_run_changes_nothing_and_may_be_tried_again() {
    let (world, mut rollout) = world();
    let one = world.announce(1, &world.has(&image("one")));
    block_on(rollout.next()).unwrap().unwrap();
    let mut ended = Box::pin(rollout.cell().unwrap().wait());
    // Nobody has this image yet.
    let later = image("two");
    let two = world.announce(2, &cid(&later));
    for attempt in 0..2 {
        let tried = match attempt {
            0 => block_on(rollout.next()),
            _ => block_on(rollout.retry()),
        };
        match tried.unwrap().unwrap_err() {
            RolloutError::Cell { head, source } => {
                assert_eq!(head, two);
                assert!(matches!(source, Error::Image(_)), "{source:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(world.epochs.current().seq, 1);
        assert_eq!(rollout.cell().unwrap().image(), Some(&one.cid));
        assert!(block_on(poll_once(&mut ended)).is_none());
    }
    world.has(&later);
    assert_eq!(block_on(rollout.retry()).unwrap().unwrap(), two);
    assert_eq!(world.epochs.current().seq, 2);
    assert!(block_on(rollout.retry()).is_none());
}

/// Threads of which there is none for the second cell.
#[derive(Default)]
struct Scarce(AtomicUsize);

impl Workers for Scarce {
    fn run(&self, job: Job) -> io::Result<()> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 1 {
            return Err(io::Error::other("there is none"));
        }
        thread::spawn(move || block_on(job()));
        Ok(())
    }
}

#[test]
fn a_head_that_was_not_started_may_be_tried_again() {
    let runtime = Runtime::builder().cells(0).workers_on(Scarce::default());
    let runtime = runtime.build().unwrap();
    let epochs = Epochs::new(Epoch::default());
    let [one, two] = ["one", "two"].map(image);
    let heads = [&one, &two].into_iter().zip(1..).map(|(image, seq)| Head {
        seq,
        cid: cid(image),
        block: 100 + seq,
    });
    let heads: Vec<_> = heads.collect();
    let base = move |head: &Head| {
        let image = if head.seq == 1 { &one } else { &two };
        Builder::new().runtime(&runtime).image(image)
    };
    let announced = futures::stream::iter(heads.clone()).map(Ok);
    let mut rollout = Rollout::new(announced, epochs.clone(), base);
    assert_eq!(block_on(rollout.next()).unwrap().unwrap(), heads[0]);
    match block_on(rollout.next()).unwrap().unwrap_err() {
        RolloutError::Start { head, source } => {
            assert_eq!(head, heads[1]);
            assert!(matches!(source, Error::Worker(_)), "{source:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(rollout.cell().is_none());
    assert_eq!(epochs.current().seq, 2);
    assert_eq!(block_on(rollout.retry()).unwrap().unwrap(), heads[1]);
    assert!(rollout.cell().is_some());
    assert_eq!(epochs.current().seq, 2);
    assert!(block_on(rollout.retry()).is_none());
}

#[test]
fn what_the_stem_says_is_passed_on_and_survived() {
    let (world, mut rollout) = world();
    let behind = StemError::Behind {
        node: "node".into(),
        block: 1,
        seen: 2,
    };
    world.heads.unbounded_send(Err(behind)).unwrap();
    let error = block_on(rollout.next()).unwrap().unwrap_err();
    assert!(matches!(
        error,
        RolloutError::Head(StemError::Behind { .. })
    ));
    let one = world.announce(1, &world.has(&image("one")));
    assert_eq!(block_on(rollout.next()).unwrap().unwrap(), one);
    // Somebody else is ahead of the chain.
    let epoch = Epoch {
        seq: 9,
        ..Epoch::default()
    };
    world.epochs.advance(epoch).unwrap();
    world.announce(2, &world.has(&image("two")));
    let error = block_on(rollout.next()).unwrap().unwrap_err();
    assert!(matches!(error, RolloutError::Epoch { current: 9, .. }));
    assert_eq!(rollout.cell().unwrap().image(), Some(&one.cid));
}

/// Answers when it is told to, and not before.
struct Waiting(Memory, Arc<async_lock::Semaphore>);

#[async_trait]
impl Loader for Waiting {
    async fn open(&self, path: &Path) -> Result<Node, ww_loader::Error> {
        let _permit = self.1.acquire().await;
        self.0.open(path).await
    }
}

#[test]
fn a_head_that_was_given_up_on_is_the_next_one_again() {
    let (world, mut rollout) = world();
    let files = Memory::files([("etc/motd", "none")]).unwrap();
    let content = Image::from(files.clone());
    let gate = Arc::new(async_lock::Semaphore::new(0));
    let cid = cid(&content);
    let slow = Image::from(Layer::new("slow", Waiting(files, gate.clone())));
    world.images.lock().unwrap().insert(cid.clone(), slow);
    let head = world.announce(1, &cid);
    assert!(block_on(poll_once(rollout.next())).is_none());
    gate.add_permits(1);
    match block_on(rollout.next()).unwrap().unwrap_err() {
        RolloutError::Cell { head: tried, .. } => assert_eq!(tried, head),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_head_that_was_given_up_on_while_the_old_cell_ends_is_the_next_one_again() {
    let (world, mut rollout) = world();
    world.announce(1, &world.has(&image("one")));
    block_on(rollout.next()).unwrap().unwrap();
    let two = world.announce(2, &world.has(&image("two")));
    let mut next = Box::pin(rollout.next());
    let mut told = None;
    // Until it is the epoch; the cell before computes, and so takes a while to end.
    while told.is_none() && world.epochs.current().seq < 2 {
        told = block_on(poll_once(&mut next));
    }
    drop(next);
    let told = told.unwrap_or_else(|| block_on(rollout.next()));
    assert_eq!(told.unwrap().unwrap(), two);
    assert_eq!(rollout.cell().unwrap().image(), Some(&two.cid));
}
