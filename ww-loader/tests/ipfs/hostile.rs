//! What a source can do at worst is to give nothing.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;
use ww_loader::contract::Content;
use ww_loader::http::{Http, Request, Ureq};
use ww_loader::ipfs::{Blocks, Gateway, Ipfs, Kubo, Limits, Retry};
use ww_loader::ipld::{Cid, car};
use ww_loader::{Loader, LoaderExt, Path};

use crate::clock::{Hasty, Virtual};
use crate::pack::{self, Pack};
use crate::server::{Asked, Reply, Server};

const TREE: &[(&str, Content)] = &[
    ("dir/file", Content::File(b"what is asked for")),
    ("dir/other", Content::File(b"beside it")),
];

type Answer = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;

fn is_car(asked: &Asked) -> bool {
    asked.target.contains("format=car")
}

fn flip(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes
}

/// The ways to answer, each with what the error must say of it.
fn answers(pack: &Pack) -> Vec<(&'static str, &'static str, Answer)> {
    let honest = || pack::gateway(pack.blocks.clone());
    let flipped: pack::Blocks = pack
        .blocks
        .iter()
        .map(|(cid, block)| (cid.clone(), flip(block).into()))
        .collect();
    let whole = |status, body: &'static str| move |_: &Asked| Reply::Whole(status, body.into());
    let redirect = |status| move |_: &Asked| Reply::Redirect(status, "http://elsewhere/".into());
    let cut = {
        let honest = honest();
        move |asked: &Asked| match honest(asked) {
            Reply::Whole(200, body) => Reply::Cut(body[..body.len() / 2].to_vec()),
            reply => reply,
        }
    };
    let other = pack.blocks.values().next_back().unwrap().to_vec();
    let foreign = {
        let unrelated = Cid::of(ww_loader::ipld::Codec::Raw, b"unrelated");
        let body = [car::header(&[]), car::section(&unrelated, b"unrelated")].concat();
        move |asked: &Asked| match is_car(asked) {
            true => Reply::Whole(200, body.clone()),
            false => Reply::Whole(200, b"unrelated".to_vec()),
        }
    };
    vec![
        ("flipped", "another hash", Box::new(pack::gateway(flipped))),
        (
            "swapped",
            "another hash",
            Box::new(move |asked| match is_car(asked) {
                true => Reply::Whole(404, Vec::new()),
                false => Reply::Whole(200, other.clone()),
            }),
        ),
        ("empty", "another hash", Box::new(whole(200, ""))),
        ("foreign", "another hash", Box::new(foreign)),
        (
            "absent",
            "status 404 (\"no such block\")",
            Box::new(whole(404, "no such block")),
        ),
        ("gone", "status 410", Box::new(whole(410, ""))),
        ("busy", "status 429", Box::new(whole(429, ""))),
        ("broken", "status 500", Box::new(whole(500, "on fire"))),
        (
            "partial",
            "status 206",
            Box::new(whole(206, "what is asked for")),
        ),
        (
            "moved",
            "redirect to http://elsewhere that",
            Box::new(redirect(301)),
        ),
        ("found", "redirect", Box::new(redirect(302))),
        ("temporary", "redirect", Box::new(redirect(307))),
        ("cut", "does not answer", Box::new(cut)),
        (
            "garbage",
            "does not answer",
            Box::new(|_| Reply::Garbage(vec![0xff; 100])),
        ),
        (
            "silent",
            "does not answer",
            Box::new(|_| Reply::Garbage(Vec::new())),
        ),
        (
            "endless",
            "of more than 2097152 bytes",
            Box::new(|asked| match is_car(asked) {
                true => Reply::Whole(404, Vec::new()),
                false => Reply::Endless(Vec::new()),
            }),
        ),
        (
            "endless CAR",
            "of more than 1048576 bytes",
            Box::new(|_| Reply::Endless(car::header(&[]))),
        ),
    ]
}

/// Answers of HTTP itself that never come to an end, each with what the error
/// must say of it.
fn floods() -> Vec<(&'static str, &'static str, Answer)> {
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let refusal = "HTTP/1.1 404 No\r\nContent-Type: text/plain\r\n\r\n";
    let silent = "does not answer";
    let floods = [
        ("header", ok, "X-A: b\r\n", silent),
        ("header value", "HTTP/1.1 200 OK\r\nX-A: ", "a", silent),
        ("promise", "", "HTTP/1.1 100 Continue\r\n\r\n", silent),
        ("hint", "", "HTTP/1.1 103 H\r\nLink: a\r\n\r\n", silent),
        ("status", "", "H", silent),
        ("line", "", "\r\n", silent),
        ("chunk size", chunked, "0", silent),
        ("refusal", refusal, "no ", "status 404 (\"no no no"),
    ];
    let floods = floods.map(|(name, first, rest, why)| {
        let rest = rest.repeat(4096 / rest.len()).into_bytes();
        let answer = move |_: &Asked| Reply::Flood(first.into(), rest.clone());
        (name, why, Box::new(answer) as Answer)
    });
    floods.into()
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.answer = 1 << 20;
    limits
}

#[test]
fn a_bad_source_is_named_and_the_next_one_is_asked() {
    let mut pack = Pack::default();
    let root = pack.tree(TREE);
    let good = Server::new(pack::gateway(pack.blocks.clone()));
    let path = Path::new("dir/file").unwrap();
    for (name, why, answer) in answers(&pack).into_iter().chain(floods()) {
        let bad = Server::new(answer);
        let http = Ureq::new();
        let alone = Blocks::builder()
            .clock(Hasty::default())
            .limits(limits())
            .source(Gateway::new(&*bad.url, http.clone()));
        let loader = Ipfs::new(root.clone().into(), &alone.build());
        let error = block_on(loader.load(&path, 99)).unwrap_err();
        assert!(!error.is_not_found(), "{name}: {error}");
        let text = {
            let cause = std::error::Error::source(&error).unwrap();
            format!("{error}: {cause}")
        };
        for part in ["dir/file", &root.to_string(), &bad.url, why] {
            assert!(text.contains(part), "{name}: no {part:?} in {text}");
        }
        let both = Blocks::builder()
            .clock(Hasty::default())
            .limits(limits())
            .source(Gateway::new(&*bad.url, http.clone()))
            .source(Gateway::new(&*good.url, http));
        let loader = Ipfs::new(root.clone().into(), &both.build());
        let file = block_on(loader.load(&path, 99)).unwrap();
        assert_eq!(file, "what is asked for", "{name}");
        let absent = block_on(loader.open(&Path::new("dir/none").unwrap())).unwrap_err();
        assert!(absent.is_not_found(), "{name}: {absent}");
    }
}

#[test]
fn the_error_names_the_block_that_is_bad_and_whose_it_was() {
    let mut pack = Pack::default();
    let root = pack.tree(TREE);
    let leaf = pack.raw(b"what is asked for");
    let mut blocks = pack.blocks.clone();
    blocks.insert(leaf.clone(), flip(b"what is asked for").into());
    let bad = Server::new(pack::gateway(blocks.clone()));
    let node = Server::new(node(blocks));
    let other = Server::new(|_| Reply::Whole(404, b"never had it".to_vec()));
    let blocks = Blocks::builder()
        .clock(Hasty::default())
        .source(Gateway::new(&*bad.url, Ureq::new()))
        .source(Kubo::new(&*node.url, Ureq::new()))
        .source(Gateway::new(&*other.url, Ureq::new()));
    let loader = Ipfs::new(root.clone().into(), &blocks.build());
    let error = block_on(loader.load(&Path::new("dir/file").unwrap(), 99)).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap();
    let text = format!("{error}: {cause}");
    let said = [
        format!("dir/file in /ipfs/{root}"),
        format!("no source gave block {leaf}"),
        format!("{}: ", bad.url),
        format!("{}: ", node.url),
        format!("{}: status 404 (\"never had it\")", other.url),
    ];
    for part in said {
        assert!(text.contains(&part), "no {part:?} in {text}");
    }
    assert_eq!(text.matches("another hash").count(), 2, "{text}");
}

/// What an honest node answers.
fn node(blocks: pack::Blocks) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        let cid = asked.target.strip_prefix("/api/v0/block/get?arg=");
        let block = cid.and_then(|cid| blocks.get(&cid.parse().ok()?));
        match (asked.method.as_str(), block) {
            ("POST", Some(block)) => Reply::Whole(200, block.to_vec()),
            _ => Reply::Whole(500, Vec::new()),
        }
    }
}

#[test]
fn a_bad_node_is_named_and_the_next_source_is_asked() {
    let mut pack = Pack::default();
    let root = pack.tree(TREE);
    let good = Server::new(node(pack.blocks.clone()));
    let path = Path::new("dir/file").unwrap();
    let flipped = {
        let honest = node(pack.blocks.clone());
        move |asked: &Asked| match honest(asked) {
            Reply::Whole(200, block) => Reply::Whole(200, flip(&block)),
            reply => reply,
        }
    };
    let mut answers: Vec<_> = answers(&pack)
        .into_iter()
        // Those that look at what a gateway is asked for are none for a node.
        .filter(|(name, ..)| !["flipped", "cut"].contains(name))
        .chain(floods())
        .collect();
    answers.push(("flipped", "another hash", Box::new(flipped)));
    for (name, why, answer) in answers {
        // A node sends no CARs, so the block itself is what has no end.
        let why = why.replace("1048576", "2097152");
        let bad = Server::new(answer);
        let blocks = |more: Option<&Server>| {
            let bad = Kubo::new(&*bad.url, Ureq::new());
            let builder = Blocks::builder().clock(Hasty::default()).source(bad);
            match more {
                Some(good) => builder.source(Kubo::new(&*good.url, Ureq::new())).build(),
                None => builder.build(),
            }
        };
        let loader = Ipfs::new(root.clone().into(), &blocks(None));
        let error = block_on(loader.load(&path, 99)).unwrap_err();
        assert!(!error.is_not_found(), "{name}: {error}");
        let cause = std::error::Error::source(&error).unwrap();
        let text = format!("{error}: {cause}");
        for part in ["dir/file", &root.to_string(), &bad.url, &why] {
            assert!(text.contains(part), "{name}: no {part:?} in {text}");
        }
        let loader = Ipfs::new(root.clone().into(), &blocks(Some(&good)));
        let file = block_on(loader.load(&path, 99)).unwrap();
        assert_eq!(file, "what is asked for", "{name}");
    }
}

#[cfg(unix)]
#[test]
fn nothing_but_whole_blocks_is_kept_of_a_bad_answer() {
    use crate::kept::kept;

    let mut pack = Pack::default();
    let root = pack.tree(TREE);
    let archive = pack::archive(&pack.blocks);
    let cut = |end: usize| -> (&str, &str, Answer) {
        let cut = archive[..end].to_vec();
        let answer = move |asked: &Asked| match is_car(asked) {
            true => Reply::Whole(200, cut.clone()),
            false => Reply::Whole(404, Vec::new()),
        };
        ("cut", "", Box::new(answer))
    };
    let cuts = (0..archive.len()).map(cut);
    for (name, _, answer) in answers(&pack).into_iter().chain(floods()).chain(cuts) {
        let bad = Server::new(answer);
        let place = tempfile::tempdir().unwrap();
        let place = place.path().join("blocks");
        let disk = ww_loader::ipfs::Disk::open(&place, 1 << 30).unwrap();
        let blocks = Blocks::builder()
            .clock(Hasty::default())
            .limits(limits())
            .memory(0)
            .disk(disk.clone())
            .source(Gateway::new(&*bad.url, Ureq::new()));
        let loader = Ipfs::new(root.clone().into(), &blocks.build());
        let file = block_on(loader.load(&Path::new("dir/file").unwrap(), 99));
        let kept = kept(&place);
        assert_eq!(kept.unfinished, 0, "{name}");
        assert!(kept.bytes <= 4096 * pack.blocks.len() as u64, "{name}");
        // What is served without a source is what was kept, and no more.
        let alone = Blocks::builder().memory(0).disk(disk).build();
        for (cid, block) in &pack.blocks {
            let same = |kept: &Cid| kept.multihash() == cid.multihash();
            let served = block_on(alone.block(cid)).ok();
            assert_eq!(served.is_some(), kept.blocks.iter().any(same), "{name}");
            assert!(served.is_none_or(|served| served == block), "{name}");
        }
        assert!(file.is_err() || kept.blocks.len() >= 3, "{name}");
    }
}

#[test]
fn who_has_no_archives_is_asked_for_blocks() {
    let mut pack = Pack::default();
    let root = pack.tree(TREE);
    let mut once = Retry::default();
    once.rounds = 1;
    for status in [None, Some(400), Some(501), Some(503), Some(504)] {
        let honest = pack::gateway(pack.blocks.clone());
        let clock = Virtual::default();
        let late = clock.clone();
        let server = Server::new(move |asked| match (is_car(asked), status) {
            (false, _) => honest(asked),
            (true, Some(status)) => Reply::Whole(status, b"no archives".to_vec()),
            (true, None) => {
                let late = late.clone();
                let then = move || late.advance(Duration::from_secs(30));
                Reply::Stall(Vec::new(), Arc::new(then))
            }
        });
        let blocks = Blocks::builder()
            .clock(clock)
            .retry(once)
            .source(Gateway::new(&*server.url, Ureq::new()));
        let loader = Ipfs::new(root.clone().into(), &blocks.build());
        let file = block_on(loader.load(&Path::new("dir/file").unwrap(), 99));
        assert_eq!(file.unwrap(), "what is asked for", "{status:?}");
    }
}

#[test]
fn a_connection_that_falls_silent_is_closed() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
    for begun in [
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        head,
        &format!("{head}and"),
    ] {
        let (closed, told) = mpsc::channel();
        let server = Server::new({
            let (begun, closed) = (begun.to_owned(), closed.clone());
            move |_| Reply::Mute(begun.clone().into(), closed.clone())
        });
        let request = Request::get(&*server.url)
            .silence(Duration::from_millis(20))
            .timeout(Duration::from_secs(60));
        let http = Ureq::new();
        let error = block_on(async {
            let response = http.send(request).await?;
            response.body.read(99).await
        });
        let error = error.unwrap_err();
        let why = error.source.to_string();
        assert!(why.contains("timeout") && !why.contains("global"), "{why}");
        told.recv().unwrap();
    }
}

#[test]
fn a_source_that_stalls_is_given_up_at_the_deadline() {
    let mut pack = Pack::default();
    let root = pack.tree(TREE);
    let good = Server::new(pack::gateway(pack.blocks.clone()));
    let archive = pack::archive(&pack.blocks);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    for sent in [
        Vec::new(),
        b"HTTP/1.1 200 OK\r\nContent-".to_vec(),
        head.to_vec(),
        // Into the first block.
        [&head[..], &archive[..car::header(&[]).len() + 20]].concat(),
    ] {
        let clock = Virtual::default();
        let (stalled, events) = mpsc::channel();
        let ticking = clock.clone();
        let ticker = thread::spawn(move || {
            for () in events {
                ticking.advance(Duration::from_secs(30));
            }
        });
        let stalls = Arc::new(move || stalled.send(()).unwrap_or_default());
        let bad = Server::new({
            let sent = sent.clone();
            move |_| Reply::Stall(sent.clone(), stalls.clone())
        });
        let blocks = Blocks::builder()
            .clock(clock)
            .source(Gateway::new(&*bad.url, Ureq::new()))
            .source(Gateway::new(&*good.url, Ureq::new()));
        let loader = Ipfs::new(root.clone().into(), &blocks.build());
        let file = block_on(loader.load(&Path::new("dir/file").unwrap(), 99)).unwrap();
        assert_eq!(file, "what is asked for", "after {} bytes", sent.len());
        assert!(!bad.asked().is_empty());
        drop(ticker);
    }
}

#[test]
fn a_car_cut_at_any_byte_gives_what_it_holds_and_the_next_source_the_rest() {
    let mut pack = Pack::default();
    let root = pack.tree(&[("a", Content::File(b"1")), ("b", Content::File(b"2"))]);
    let archive = pack::archive(&pack.blocks);
    let good = Server::new(pack::gateway(pack.blocks.clone()));
    for end in 0..archive.len() {
        let cut = archive[..end].to_vec();
        let bad = Server::new(move |asked| match is_car(asked) {
            true => Reply::Whole(200, cut.clone()),
            false => Reply::Whole(404, Vec::new()),
        });
        let blocks = Blocks::builder()
            .clock(Hasty::default())
            .source(Gateway::new(&*bad.url, Ureq::new()))
            .source(Gateway::new(&*good.url, Ureq::new()));
        let loader = Ipfs::new(root.clone().into(), &blocks.build());
        let file = block_on(loader.load(&Path::new("b").unwrap(), 9)).unwrap();
        assert_eq!(file, "2", "cut at {end} of {}", archive.len());
    }
}

#[test]
fn a_car_may_come_in_any_order_and_repeat_itself() {
    let mut pack = Pack::default();
    let root = pack.tree(TREE);
    let mut body = car::header(&[]);
    for _ in 0..2 {
        for (cid, block) in pack.blocks.iter().rev() {
            body.extend(car::section(cid, block));
            // Empty parts pad.
            body.push(0);
        }
    }
    let server = Server::new(move |asked| match is_car(asked) {
        true => Reply::Whole(200, body.clone()),
        false => Reply::Whole(404, Vec::new()),
    });
    let blocks = Blocks::builder().source(Gateway::new(&*server.url, Ureq::new()));
    let loader = Ipfs::new(root.into(), &blocks.build());
    let file = block_on(loader.load(&Path::new("dir/file").unwrap(), 99)).unwrap();
    assert_eq!(file, "what is asked for");
    assert_eq!(server.asked().len(), 1, "one answer has it all");
}

#[test]
fn a_node_is_asked_by_post_and_a_gateway_with_escaped_names() {
    let mut pack = Pack::default();
    let name = "a b%2F?#\u{e9}";
    let sample = [(&*format!("{name}/x").leak(), Content::File(b"found"))];
    let root = pack.tree(&sample);
    let node = Server::new(node(pack.blocks.clone()));
    let path = Path::new(name).unwrap().resolve("x").unwrap();
    let rpc = Blocks::builder().source(Kubo::new(format!("{}/", node.url), Ureq::new()));
    let loader = Ipfs::new(root.clone().into(), &rpc.build());
    assert_eq!(block_on(loader.load(&path, 9)).unwrap(), "found");

    let server = Server::new(pack::gateway(pack.blocks));
    let gateway = Blocks::builder().source(Gateway::new(&*server.url, Ureq::new()));
    let loader = Ipfs::new(root.clone().into(), &gateway.build());
    assert_eq!(block_on(loader.load(&path, 9)).unwrap(), "found");
    let asked = &server.asked()[0];
    assert_eq!(
        asked.target,
        format!("/ipfs/{root}/a%20b%252F%3F%23%C3%A9/x?format=car&dag-scope=block")
    );
    let accept = "accept: application/vnd.ipld.car;version=1";
    assert!(
        asked.headers.iter().any(|field| field == accept),
        "{asked:?}"
    );
}
