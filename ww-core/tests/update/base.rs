//! Bases that heads name by the CID of a tree on IPFS, fetched and verified when
//! they are announced.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use futures_lite::future::block_on;
use smol::Async;
use ww_core::cell::{Builder, Cell, Output};
use ww_core::clock::Virtual;
use ww_core::{Error, Rollout, RolloutError, Runtime};
use ww_image::{Image, Layer};
use ww_loader::contract::Content;
use ww_loader::http::Ureq;
use ww_loader::ipfs::{Blocks, Gateway, Ipfs, Retry, Scope};
use ww_loader::ipld::{Cid, Codec};
use ww_loader::stem::{Head, Stem};
use ww_membrane::{Epoch, Epochs};

use crate::clock::Skipping;
use crate::gateways::Gateways;
use crate::hardhat::{CHAIN, Chain};
use crate::node::Node;
use crate::pack::{self, Pack};
use crate::server::{Asked, Reply, Server};

/// One for all tests, so that the guest is compiled once.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// What a version says of itself: far more than a pipe holds, so that its guest
/// lives until somebody has read it all.
fn text(version: u8) -> Vec<u8> {
    let line = format!("this is version {version}\n");
    line.bytes().cycle().take(1 << 20).collect()
}

/// The files of a version: a guest that prints what stands beside it.
fn version(number: u8) -> [(&'static str, Vec<u8>); 2] {
    let main = example_images::wasm("wasi-probe");
    [("bin/main.wasm", main), ("etc/version", text(number))]
}

/// A version as blocks, and its root.
fn packed(number: u8) -> (pack::Blocks, Cid) {
    let mut pack = Pack::default();
    let files = version(number).map(|(path, bytes)| (path, Content::File(bytes.leak())));
    let root = pack.tree(&files);
    (pack.blocks, root)
}

/// What follows a node of our own.
fn stem(node: &Node) -> Stem {
    let contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
    let contract = contract.parse().unwrap();
    let stem = Stem::new(node.url(), 7, contract, Ureq::new(), Skipping::default());
    stem.confirmations(2)
}

/// A rollout of bases from `blocks`, and what its cells say, one after the
/// other. Nobody reads that unasked, so that a cell waits rather than ends.
struct Base {
    epochs: Epochs,
    rollout: Rollout,
    said: mpsc::Receiver<UnixStream>,
}

impl Base {
    fn new(stem: Stem, runtime: &Runtime, blocks: Blocks) -> Self {
        let epochs = Epochs::new(Epoch::default());
        let (runtime, (sender, said)) = (runtime.clone(), mpsc::channel());
        let base = move |head: &Head| {
            let tree = Ipfs::new(head.cid.clone().into(), &blocks);
            let image = Image::from(Layer::verified(head.cid.clone(), tree));
            let (ours, cells) = UnixStream::pair().unwrap();
            sender.send(ours).unwrap();
            Builder::new()
                .runtime(&runtime)
                .image(image)
                .args(["cat", "/etc/version"])
                .stdout(Output::writer(Async::new(cells).unwrap()))
        };
        Self {
            rollout: Rollout::new(stem.heads(), epochs.clone(), base),
            epochs,
            said,
        }
    }

    /// Runs the next head, which has to be this one.
    fn next(&mut self, cid: &Cid) {
        let head = block_on(self.rollout.next()).unwrap().unwrap();
        assert_eq!(&head.cid, cid);
        assert_eq!(self.cell().image(), Some(cid));
    }

    fn cell(&self) -> &Cell {
        self.rollout.cell().unwrap()
    }

    /// What the next cell says. It begins as this version does.
    fn hears(&self, version: u8) -> UnixStream {
        let mut said = self.said.recv().unwrap();
        let mut begin = [0; 17];
        said.read_exact(&mut begin).unwrap();
        assert_eq!(begin, text(version)[..17]);
        said
    }
}

/// Reads to the end what the cell goes on to say.
fn hears_out(base: &Base, mut said: UnixStream, version: u8) {
    let mut rest = Vec::new();
    said.read_to_end(&mut rest).unwrap();
    assert!(rest == text(version)[17..], "{} bytes", rest.len());
    assert!(block_on(base.cell().wait()).unwrap().success());
}

#[test]
fn a_head_restarts_the_cell_on_a_base_that_is_fetched_and_verified() {
    let ((mut blocks, one), (more, two)) = (packed(1), packed(2));
    // What the second version says, and the first does not.
    let text_of_two = |cid: &&Cid| cid.codec() == Some(Codec::Raw) && !blocks.contains_key(cid);
    let flipped: Vec<_> = more
        .keys()
        .filter(text_of_two)
        .map(Cid::to_string)
        .collect();
    assert!(!flipped.is_empty());
    blocks.extend(more);
    let lying = Arc::new(AtomicBool::new(true));
    let (lies, honest) = (lying.clone(), pack::gateway(blocks));
    let gateway = Server::new(move |asked| {
        let of_two = flipped.iter().any(|cid| asked.target.contains(cid));
        match honest(asked) {
            _ if asked.target.contains("format=car") => Reply::Whole(400, Vec::new()),
            Reply::Whole(200, mut block) if of_two && lies.load(Ordering::Relaxed) => {
                block[0] ^= 1;
                Reply::Whole(200, block)
            }
            reply => reply,
        }
    });
    let node = Node::start();
    node.at(10).has(1, &one);
    let blocks = Blocks::builder()
        .clock(RUNTIME.clock())
        .source(Gateway::new(&*gateway.url, Ureq::new()))
        .build();
    let mut base = Base::new(stem(&node), &RUNTIME, blocks.clone());

    base.next(&one);
    // Held until the end: the cell waits for somebody to read the rest.
    let _first = base.hears(1);
    let ended = base.cell().wait();
    let guard = base.epochs.guard();

    // Whoever wants all of the new base is told what is wrong with it.
    let tree = Ipfs::new(two.clone().into(), &blocks);
    let error = block_on(Image::from(Layer::new("new", tree)).cid()).unwrap_err();
    let refused = told(&error);
    for part in ["etc/version", &two.to_string(), &*gateway.url, "hash"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(guard.is_current());

    lying.store(false, Ordering::Relaxed);
    node.at(11).has(2, &two);
    base.next(&two);
    assert!(matches!(block_on(ended), Err(Error::Killed)));
    assert!(!guard.is_current());
    assert_eq!(base.epochs.current().head, two.as_bytes());
    hears_out(&base, base.hears(2), 2);
}

#[test]
fn a_base_that_cannot_be_had_changes_nothing_by_the_runtimes_clock() {
    let ((blocks, one), (_, two)) = (packed(1), packed(2));
    let clock = Virtual::new();
    let (passing, honest, second) = (clock.clone(), pack::gateway(blocks), two.to_string());
    let gateway = Server::new(move |asked: &Asked| {
        let passing = passing.clone();
        match asked.target.contains(&second) {
            true => Reply::Stall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_vec(),
                Arc::new(move || passing.advance(Duration::from_secs(3600))),
            ),
            false => honest(asked),
        }
    });
    let runtime = Runtime::builder().clock(clock).build().unwrap();
    let mut retry = Retry::default();
    retry.rounds = 1;
    let blocks = Blocks::builder()
        .clock(runtime.clock())
        .retry(retry)
        .source(Gateway::new(&*gateway.url, Ureq::new()))
        .build();
    let node = Node::start();
    node.at(10).has(1, &one);
    // So that the guest asks for nothing more, for which the clock would be late.
    block_on(blocks.prefetch(&one.clone().into(), Scope::All)).unwrap();
    let mut base = Base::new(stem(&node), &runtime, blocks);

    base.next(&one);
    node.at(11).has(2, &two);
    match block_on(base.rollout.next()).unwrap().unwrap_err() {
        RolloutError::Cell { head, source } => {
            assert_eq!(head.cid, two);
            let text = told(&source);
            assert!(text.contains("no answer within 30s"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(base.epochs.current().seq, 1);
    assert_eq!(base.cell().image(), Some(&one));
    hears_out(&base, base.hears(1), 1);
}

/// An error and its causes.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}

#[test]
fn a_transaction_restarts_the_cell_on_a_base_from_a_published_gateway() {
    let directories = [1, 2].map(|number| {
        let directory = tempfile::tempdir().unwrap();
        for (path, bytes) in version(number) {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        directory
    });
    let paths = directories.each_ref().map(|directory| directory.path());
    let Some(gateways) = Gateways::start("bases from a published gateway", &paths) else {
        return;
    };
    let Some(chain) = Chain::start() else {
        return;
    };
    let roots = ["0", "1"].map(|number| gateways.get(number).parse::<Cid>().unwrap());
    for (path, root) in paths.into_iter().zip(&roots) {
        assert_eq!(&block_on(Image::from(path).cid()).unwrap(), root);
    }
    let [one, two] = roots;
    let stem = Stem::new(
        &chain.url,
        CHAIN,
        chain.contract,
        Ureq::new(),
        Skipping::default(),
    );
    let blocks = Blocks::builder()
        .clock(RUNTIME.clock())
        .source(Gateway::new(gateways.get("url"), Ureq::new()))
        .build();
    let mut base = Base::new(stem.confirmations(2), &RUNTIME, blocks);

    chain.advance(&one);
    chain.mine(2);
    base.next(&one);
    // Held until the end: the cell waits for somebody to read the rest.
    let _first = base.hears(1);
    let ended = base.cell().wait();
    let guard = base.epochs.guard();

    chain.advance(&two);
    chain.mine(2);
    base.next(&two);
    assert!(matches!(block_on(ended), Err(Error::Killed)));
    assert!(!guard.is_current());
    hears_out(&base, base.hears(2), 2);
}
