//! Blocks that are what their CIDs say, and no proper tree.

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use ww_loader::contract::Content;
use ww_loader::ipfs::{Blocks, Ipfs, Limits};
use ww_loader::ipld::dag_pb::Link;
use ww_loader::ipld::unixfs::{Data, Kind};
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Bytes, Error, Loader, LoaderExt, Node, Path};

use crate::pack::{Held, Pack};
use crate::recorded;

fn link(name: impl AsRef<[u8]>, cid: &Cid) -> Link {
    Link::new(name, cid.clone(), 0)
}

fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn open(pack: &Pack, root: &Cid, limits: Limits) -> Ipfs {
    let blocks = Blocks::builder()
        .limits(limits)
        .source(Held::new(pack.blocks.clone()));
    Ipfs::new(root.clone().into(), &blocks.build())
}

/// Opens, or reads, the file `f` of the root.
fn read(pack: &Pack, root: &Cid, limits: Limits) -> Result<Bytes, Error> {
    block_on(open(pack, root, limits).load(&Path::new("f").unwrap(), 1 << 30))
}

#[test]
fn files_whose_parts_do_not_fit_are_refused_with_their_cid() {
    type Make = fn(&mut Pack) -> Cid;
    let cases: [(&str, &str, Make); 13] = [
        ("sizes", "1 parts with 2 sizes", |pack| {
            let part = pack.raw(b"12");
            pack.node(vec![link("", &part)], Data::file(None, vec![1, 1]))
        }),
        ("filesize", "whose parts differ", |pack| {
            let part = pack.raw(b"12");
            let mut data = Data::file(None, vec![2]);
            data.filesize = Some(3);
            pack.node(vec![link("", &part)], data)
        }),
        ("no filesize", "whose parts differ", |pack| {
            let mut data = Data::file(Some(Bytes::from_static(b"1")), Vec::new());
            data.filesize = None;
            pack.node(Vec::new(), data)
        }),
        ("overflow", "whose parts differ", |pack| {
            let part = pack.raw(b"12");
            let data = Data::file(None, vec![u64::MAX, 2]);
            pack.node(vec![link("", &part), link("", &part)], data)
        }),
        ("named part", "has a name", |pack| {
            let part = pack.raw(b"12");
            pack.node(vec![link("x", &part)], Data::file(None, vec![2]))
        }),
        ("short leaf", "2 bytes of a file where 3", |pack| {
            let part = pack.raw(b"12");
            pack.node(vec![link("", &part)], Data::file(None, vec![3]))
        }),
        ("long leaf", "2 bytes of a file where 1", |pack| {
            let part = pack.raw(b"12");
            pack.node(vec![link("", &part)], Data::file(None, vec![1]))
        }),
        ("directory as part", "none itself", |pack| {
            let dir = pack.node(Vec::new(), Data::directory());
            pack.node(vec![link("", &dir)], Data::file(None, vec![1]))
        }),
        ("unknown codec", "codec 0x71", |pack| {
            let mut bytes = Cid::of(Codec::Raw, b"x").as_bytes().to_vec();
            bytes[1] = 0x71;
            let cid = Cid::from_bytes(&bytes).unwrap();
            pack.blocks.insert(cid.clone(), Bytes::from_static(b"x"));
            cid
        }),
        ("unknown hash", "cannot be checked", |_| {
            let mut bytes = Cid::of(Codec::Raw, b"x").as_bytes().to_vec();
            bytes[2] = 0x11;
            Cid::from_bytes(&bytes).unwrap()
        }),
        ("no protobuf", "not a dag-pb node", |pack| {
            let cid = Cid::of(Codec::DagPb, &[0xff; 9]);
            pack.blocks
                .insert(cid.clone(), Bytes::from_static(&[0xff; 9]));
            cid
        }),
        ("no data", "without data", |pack| {
            let cid = Cid::of(Codec::DagPb, b"");
            pack.blocks.insert(cid.clone(), Bytes::new());
            cid
        }),
        ("metadata", "reserved type", |pack| {
            let mut data = Data::directory();
            data.kind = Kind::Metadata;
            pack.node(Vec::new(), data)
        }),
    ];
    for (name, why, make) in cases {
        let mut pack = Pack::default();
        let file = make(&mut pack);
        let root = pack.node(vec![link("f", &file)], Data::directory());
        let error = read(&pack, &root, Limits::default()).unwrap_err();
        let text = text(&error);
        assert!(!error.is_not_found(), "{name}: {text}");
        for part in ["f in /ipfs/", why] {
            assert!(text.contains(part), "{name}: no {part:?} in {text}");
        }
    }
}

#[test]
fn absurd_depth_and_width_are_bounded() {
    let mut pack = Pack::default();
    let mut file = pack.raw(b"x");
    let mut size = 1_u64;
    // Twice as long at each level: 2^40 bytes of forty blocks.
    for _ in 0..40 {
        let links = vec![link("", &file), link("", &file)];
        file = pack.node(links, Data::file(None, vec![size, size]));
        size *= 2;
    }
    let root = pack.node(vec![link("f", &file)], Data::directory());
    let loader = open(&pack, &root, Limits::default());
    let Node::File(bomb) = block_on(loader.open(&Path::new("f").unwrap())).unwrap() else {
        panic!("a file");
    };
    assert_eq!(bomb.len(), 1 << 40);
    let error = block_on(bomb.read_at(0, usize::MAX)).unwrap_err();
    assert!(text(&error).contains("too many levels"), "{}", text(&error));
    let mut deep = Limits::default();
    deep.depth = 41;
    let loader = open(&pack, &root, deep);
    let Node::File(bomb) = block_on(loader.open(&Path::new("f").unwrap())).unwrap() else {
        panic!("a file");
    };
    assert_eq!(
        block_on(bomb.read_at(1 << 39, 100)).unwrap(),
        [b'x'; 100][..]
    );

    let names: Vec<_> = (0..100).map(|n| format!("{n}")).collect();
    let leaf = pack.raw(b"");
    let wide = pack.node(
        names.iter().map(|name| link(name, &leaf)).collect(),
        Data::directory(),
    );
    let mut few = Limits::default();
    few.names = 99;
    let Node::Dir(entries) = block_on(open(&pack, &wide, few).open(&Path::root())).unwrap() else {
        panic!("a directory");
    };
    let listed: Vec<_> = block_on(entries.collect());
    assert_eq!(listed.len(), 100);
    let last = listed.last().unwrap().as_ref().unwrap_err();
    assert!(text(last).contains("more than 99 names"), "{}", text(last));

    let mut small = Limits::default();
    small.block = 10;
    let long = pack.tree(&[("f", Content::File(b"more than ten bytes"))]);
    let error = read(&pack, &long, small).unwrap_err();
    assert!(
        text(&error).contains("more than 10 bytes"),
        "{}",
        text(&error)
    );
}

#[test]
fn a_file_of_few_blocks_many_times_over_is_bounded_and_gives_way() {
    // A byte, a thousand times, and that a thousand times, and again: a
    // gigabyte of four blocks.
    let mut pack = Pack::default();
    let (mut file, mut size) = (pack.raw(b"x"), 1);
    for _ in 0..3 {
        let links = (0..1000).map(|_| link("", &file)).collect();
        file = pack.node(links, Data::file(None, vec![size; 1000]));
        size *= 1000;
    }
    let root = pack.node(vec![link("f", &file)], Data::directory());
    let open = |parts| {
        let mut limits = Limits::default();
        limits.parts = parts;
        block_on(open(&pack, &root, limits).open(&Path::new("f").unwrap())).unwrap()
    };
    let Node::File(bomb) = open(2000) else {
        panic!("a file");
    };
    let error = block_on(bomb.read_at(500_000_000, usize::MAX)).unwrap_err();
    let text = text(&error);
    assert!(text.contains("beyond 2000 blocks of one read"), "{text}");
    assert_eq!(block_on(bomb.read_at(1 << 29, 100)).unwrap().len(), 100);

    // All blocks are in memory by now, and yet others get their turn.
    let mut read = Box::pin(bomb.read_at(1 << 29, 1000));
    let mut turns = 0;
    while block_on(futures_lite::future::poll_once(&mut read)).is_none() {
        turns += 1;
    }
    assert!(turns >= 3, "{turns}");
}

#[test]
fn names_that_are_none_are_told_in_their_place() {
    let mut pack = Pack::default();
    let leaf = pack.raw(b"");
    let bad: [&[u8]; 9] = [
        b"",
        b".",
        b"..",
        b"a/b",
        b"/",
        b"nul\0",
        b"not utf-8 \xff",
        &[b'x'; 256],
        b"../../etc/passwd",
    ];
    let good = ["%2e%2e", "%2F", "...", " ", "\\", "\u{202e}"];
    let names = bad.into_iter().chain(good.map(str::as_bytes));
    let root = pack.node(
        names.map(|name| link(name, &leaf)).collect(),
        Data::directory(),
    );
    let loader = open(&pack, &root, Limits::default());
    let Node::Dir(entries) = block_on(loader.open(&Path::root())).unwrap() else {
        panic!("a directory");
    };
    let (mut told, mut listed) = (0, Vec::new());
    for entry in block_on(entries.collect::<Vec<_>>()) {
        match entry {
            Ok(entry) => listed.push(entry.name),
            Err(Error::Name { .. }) => told += 1,
            Err(error) => panic!("{error}"),
        }
    }
    listed.sort();
    let mut expected = good.map(str::to_owned);
    expected.sort();
    assert_eq!((told, &listed[..]), (bad.len(), &expected[..]));
    for name in good {
        let path = Path::new(name).unwrap();
        assert!(
            matches!(block_on(loader.open(&path)), Ok(Node::File(_))),
            "{name:?}"
        );
    }
    for (escaped, plain) in [("a%2Fb", "a/b"), ("%2e%2e/x", "x")] {
        for name in [escaped, plain] {
            let path = Path::new(name).unwrap();
            let error = block_on(loader.open(&path)).unwrap_err();
            assert!(
                error.is_not_found() || error.not_directory().is_some(),
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn a_directory_with_a_name_twice_is_refused() {
    let mut pack = Pack::default();
    let (one, other) = (pack.raw(b"1"), pack.raw(b"2"));
    let root = pack.node(vec![link("f", &one), link("f", &other)], Data::directory());
    let error = read(&pack, &root, Limits::default()).unwrap_err();
    assert!(text(&error).contains("\"f\" twice"), "{}", text(&error));
    let loader = open(&pack, &root, Limits::default());
    let Node::Dir(entries) = block_on(loader.open(&Path::root())).unwrap() else {
        panic!("a directory");
    };
    assert!(
        block_on(entries.collect::<Vec<_>>())
            .iter()
            .any(Result::is_err)
    );
}

#[test]
fn symbolic_links_never_leave_the_tree() {
    let mut pack = Pack::default();
    let long = "./".repeat(1 << 19) + "x";
    let targets: [&[u8]; 6] = [
        b"..",
        b"../x",
        b"a/../../x",
        b"nul\0",
        b"\xff",
        long.as_bytes(),
    ];
    let mut links = Vec::new();
    for (n, target) in targets.iter().enumerate() {
        let cid = pack.node(Vec::new(), Data::symlink(target.to_vec()));
        links.push(link(format!("{n}"), &cid));
    }
    let leaf = pack.raw(b"");
    let mut with_blocks = Data::symlink("x");
    with_blocks.kind = Kind::Symlink;
    let odd = pack.node(vec![link("", &leaf)], with_blocks);
    links.push(link("odd", &odd));
    let root = pack.node(links, Data::directory());
    let loader = open(&pack, &root, Limits::default());
    for n in 0..targets.len() {
        let error = block_on(loader.open(&Path::new(&n.to_string()).unwrap())).unwrap_err();
        assert!(matches!(error, Error::Link { .. }), "{error}");
    }
    let error = block_on(loader.open(&Path::new("odd").unwrap())).unwrap_err();
    assert!(text(&error).contains("links to blocks"), "{}", text(&error));
}

#[test]
fn a_shard_with_two_links_at_one_position_is_refused() {
    let mut pack = Pack::default();
    let (one, other) = (pack.raw(b"1"), pack.raw(b"2"));
    let shard = |pack: &mut Pack, links| pack.node(links, Data::shard(vec![0xff; 32], 256));
    // Where a name belongs, found as whoever looks for it does.
    let place = (0..=255).map(|n| format!("{n:02X}")).find(|place| {
        let links = vec![link(format!("{place}f"), &one)];
        let root = shard(&mut pack, links);
        read(&pack, &root, Limits::default()).is_ok()
    });
    let place = place.unwrap();
    let [f, g] = ["f", "g"].map(|name| format!("{place}{name}"));
    let below = shard(&mut pack, vec![link(&f, &one)]);
    for links in [
        vec![link(&f, &one), link(&f, &other)],
        vec![link(&f, &one), link(&g, &other)],
        vec![link(&g, &other), link(&f, &one)],
        vec![link(&f, &one), link(&place, &below)],
        vec![link(&place, &below), link(&place, &below)],
    ] {
        let root = shard(&mut pack, links);
        let error = read(&pack, &root, Limits::default()).unwrap_err();
        let why = "two links at one position";
        assert!(text(&error).contains(why), "{}", text(&error));
        let loader = open(&pack, &root, Limits::default());
        let Node::Dir(mut entries) = block_on(loader.open(&Path::root())).unwrap() else {
            panic!("a directory");
        };
        let error = block_on(entries.next()).unwrap().unwrap_err();
        assert!(text(&error).contains(why), "{}", text(&error));
    }
}

#[test]
fn shards_that_contradict_their_hashes_are_refused() {
    let mut pack = Pack {
        blocks: recorded::blocks(),
    };
    let leaf = pack.raw(b"");
    let inner = pack.node(Vec::new(), Data::shard(vec![0; 1], 8));
    let wide = |pack: &mut Pack, links| pack.node(links, Data::shard(vec![0; 32], 256));
    let itself_deep = {
        let mut shard = wide(&mut pack, Vec::new());
        for _ in 0..20 {
            let links = (0..=255)
                .map(|n| link(format!("{n:02X}"), &shard))
                .collect();
            shard = wide(&mut pack, links);
        }
        shard
    };
    let misplaced: Vec<_> = (0..2).map(|n| link(format!("{n:02X}f"), &leaf)).collect();
    for (links, why) in [
        (misplaced, "wrong position"),
        (vec![link("0", &leaf)], "no position"),
        (vec![link("zzf", &leaf)], "no position"),
        (vec![link("abf", &leaf)], "no position"),
        (vec![link("+1f", &leaf)], "no position"),
        (
            (0..=255)
                .map(|n| link(format!("{n:02X}"), &inner))
                .collect(),
            "another width",
        ),
        (
            (0..=255).map(|n| link(format!("{n:02X}"), &leaf)).collect(),
            "above what is none",
        ),
        (vec![link("00", &itself_deep)], ""),
    ] {
        let root = wide(&mut pack, links);
        let mut limits = Limits::default();
        limits.depth = 8;
        let loader = open(&pack, &root, limits);
        let Node::Dir(mut entries) = block_on(loader.open(&Path::root())).unwrap() else {
            panic!("a directory");
        };
        let first = block_on(entries.next());
        let error = first.expect("an entry").expect_err(why);
        assert!(text(&error).contains(why), "{why}: {}", text(&error));
        assert_eq!(block_on(entries.next()).map(|_| ()), None, "{why}: the end");
    }
}

/// How often others get their turn before `work` is done.
fn turns<T>(work: impl Future<Output = T>) -> (usize, T) {
    let mut work = std::pin::pin!(work);
    let mut turns = 0;
    loop {
        if let Some(done) = block_on(futures_lite::future::poll_once(&mut work)) {
            return (turns, done);
        }
        turns += 1;
    }
}

/// A file of one byte, in a block of a quarter of a mebibyte.
fn heavy_file(pack: &mut Pack) -> Cid {
    let (nothing, byte) = (
        Cid::inlined(Codec::Raw, b"").unwrap(),
        Cid::inlined(Codec::Raw, b"x").unwrap(),
    );
    let mut links = vec![link("", &nothing); 20_000];
    let mut sizes = vec![0; 20_000];
    (links[19_999], sizes[19_999]) = (link("", &byte), 1);
    let file = pack.node(links, Data::file(None, sizes));
    assert!(pack.blocks[&file].len() > 256 << 10);
    file
}

#[test]
fn who_goes_through_large_blocks_in_memory_gives_way() {
    let mut pack = Pack::default();
    let heavy = heavy_file(&mut pack);
    let parts = vec![link("", &heavy); 20];
    let file = pack.node(parts, Data::file(None, vec![1; 20]));
    let list = (0..20).map(|n| link(format!("{n}"), &heavy)).collect();
    let list = pack.node(list, Data::directory());
    let leaf = Cid::inlined(Codec::Raw, b"").unwrap();
    let beside: Vec<_> = (0..20_000).map(|n| link(format!("{n}"), &leaf)).collect();
    let mut deep = heavy.clone();
    for _ in 0..10 {
        let links = [&beside[..], &[link("d", &deep)]].concat();
        deep = pack.node(links, Data::directory());
    }
    let names = [("f", &file), ("l", &list), ("d", &deep)];
    let names = names.map(|(name, cid)| link(name, cid));
    let root = pack.node(names.into(), Data::directory());
    let with = |limits| open(&pack, &root, limits);
    let open = |loader: &Ipfs, path: &str| {
        let path = Path::new(path).unwrap();
        turns(loader.open(&path))
    };
    let deep = "d/".repeat(11);

    let loader = with(Limits::default());
    // What comes first from a source is in memory the second time.
    for _ in 0..2 {
        let (_, Ok(Node::File(file))) = open(&loader, "f") else {
            panic!("a file");
        };
        let (read, bytes) = turns(file.read_at(0, 99));
        assert_eq!(bytes.unwrap(), [b'x'; 20][..]);
        let (_, Ok(Node::Dir(entries))) = open(&loader, "l") else {
            panic!("a directory");
        };
        let (listed, entries) = turns(entries.collect::<Vec<_>>());
        assert!(entries.len() == 20 && entries.iter().all(Result::is_ok));
        let (walked, node) = open(&loader, &deep);
        assert!(matches!(node, Ok(Node::File(_))));
        assert!(
            read >= 4 && listed >= 4 && walked >= 2,
            "{read}, {listed}, {walked}"
        );
    }

    // Links are work, too, so that few blocks of many are many blocks.
    let mut limits = Limits::default();
    limits.parts = 200;
    let (_, Ok(Node::File(file))) = open(&with(limits), "f") else {
        panic!("a file");
    };
    let error = block_on(file.read_at(0, 99)).unwrap_err();
    let text = text(&error);
    assert!(text.contains("beyond 200 blocks of one read"), "{text}");
    assert_eq!(block_on(file.read_at(3, 2)).unwrap(), "xx");
}
