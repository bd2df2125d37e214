use ww_loader::Bytes;
use ww_loader::ipld::car::{self, Decoder};
use ww_loader::ipld::dag_pb::{Link, MAX_LINKS, Node};
use ww_loader::ipld::unixfs::{Data, Kind, Mtime};
use ww_loader::ipld::{Cid, Codec, CodecError};

use crate::recorded;

#[test]
fn what_others_encode_is_decoded_and_encoded_again_byte_for_byte() {
    let blocks = recorded::blocks();
    assert!(
        recorded::roots()
            .values()
            .all(|cid| blocks.contains_key(cid))
    );
    let mut kinds = Vec::new();
    for (cid, block) in blocks {
        cid.verify(&block).unwrap();
        if cid.codec() != Some(Codec::DagPb) {
            continue;
        }
        let node = Node::decode(&block).unwrap();
        let data = Data::decode(node.data.as_ref().unwrap()).unwrap();
        kinds.push(data.kind);
        assert_eq!(data.encode(), node.data.as_deref().unwrap(), "{cid}");
        assert_eq!(node.encode(), block, "{cid}");
    }
    for kind in [
        Kind::Directory,
        Kind::File,
        Kind::Raw,
        Kind::Symlink,
        Kind::HamtShard,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} was not recorded");
    }
}

#[test]
fn a_cid_is_the_same_in_every_base() {
    let cid = Cid::of(Codec::Raw, b"hello");
    for (base, prefix) in [
        (multibase::Base::Base2, '0'),
        (multibase::Base::Base16Lower, 'f'),
        (multibase::Base::Base32Lower, 'b'),
        (multibase::Base::Base32Upper, 'B'),
        (multibase::Base::Base32HexLower, 'v'),
        (multibase::Base::Base36Lower, 'k'),
        (multibase::Base::Base58Btc, 'z'),
        (multibase::Base::Base64, 'm'),
        (multibase::Base::Base64Url, 'u'),
        (multibase::Base::Base256Emoji, '🚀'),
    ] {
        let text = multibase::encode(base, cid.as_bytes());
        assert!(text.starts_with(prefix), "{text}");
        assert_eq!(text.parse::<Cid>().unwrap(), cid);
    }
    let v0 = Cid::v0_of(b"hello");
    assert!(v0.to_string().starts_with("Qm"));
    assert_eq!(v0.to_string().parse::<Cid>().unwrap(), v0);
    assert_eq!((v0.version(), v0.codec()), (0, Some(Codec::DagPb)));
    assert_eq!(v0.multihash(), Cid::of(Codec::DagPb, b"hello").multihash());
}

#[test]
fn what_is_no_cid_is_refused_and_named() {
    let v0 = multibase::encode(multibase::Base::Base32Lower, Cid::v0_of(b"").as_bytes());
    let long = format!("f{}", "0".repeat(4096));
    let trailing = {
        let mut bytes = Cid::of(Codec::Raw, b"").as_bytes().to_vec();
        bytes.push(0);
        multibase::encode(multibase::Base::Base16Lower, bytes)
    };
    for (text, why) in [
        ("", "base"),
        ("b", "end of file"),
        ("Qm", "base"),
        ("example.com", ""),
        ("/ipfs/bafkqaaa", ""),
        ("bafkqaa\0", ""),
        (&v0, "version 0"),
        (&long, "longer"),
        (&trailing, "1 bytes follow"),
    ] {
        let error = text.parse::<Cid>().unwrap_err();
        let shown: String = text.chars().take(64).collect();
        assert!(error.to_string().contains(&format!("{shown:?}")), "{error}");
        let said = error.to_string().to_lowercase();
        assert!(said.contains(why), "{text:?}: {error}");
    }
}

#[test]
fn only_whole_and_known_hashes_prove_anything() {
    let cid = |function: u64, digest: &[u8]| {
        let mut bytes = vec![1, 0x55];
        let mut buffer = unsigned_varint::encode::u64_buffer();
        bytes.extend_from_slice(unsigned_varint::encode::u64(function, &mut buffer));
        bytes.push(u8::try_from(digest.len()).unwrap());
        bytes.extend_from_slice(digest);
        Cid::from_bytes(&bytes).unwrap()
    };
    let blake3 = blake3::hash(b"block");
    cid(0x1e, blake3.as_bytes()).verify(b"block").unwrap();
    assert!(cid(0x1e, blake3.as_bytes()).verify(b"other").is_err());
    for (function, len) in [
        (0x12, 20),
        (0x12, 0),
        (0x13, 32),
        (0x1e, 16),
        (0x11, 20),
        (0xd5, 16),
    ] {
        let cid = cid(function, &vec![0; len]);
        let error = cid.verify(b"").unwrap_err();
        assert!(matches!(error, CodecError::Hash { .. }), "{error}");
        assert_eq!(cid.verifiable().unwrap_err(), error);
        assert!(error.to_string().contains(&cid.to_string()), "{error}");
    }
    let inlined = Cid::inlined(Codec::Raw, &[7; 128]).unwrap();
    assert_eq!(inlined.inline(), Some(&[7; 128][..]));
    assert_eq!(inlined.to_string().parse::<Cid>().unwrap(), inlined);
    assert!(inlined.verify(&[7; 127]).is_err());
    assert!(Cid::inlined(Codec::Raw, &[7; 129]).is_none());
}

#[test]
fn links_are_sorted_stably_and_written_before_data() {
    let cid = |text: &str| Cid::of(Codec::Raw, text.as_bytes());
    let node = Node {
        links: vec![
            Link::new("b", cid("1"), 1),
            Link::new("a", cid("2"), 2),
            Link::new("b", cid("3"), 3),
        ],
        data: Some(Bytes::new()),
    };
    let decoded = Node::decode(&node.encode().into()).unwrap();
    let order: Vec<_> = decoded.links.iter().filter_map(|link| link.size).collect();
    assert_eq!(order, [2, 1, 3]);
    assert_eq!(decoded.encode(), node.encode());
    assert_eq!(node.encode()[0], 0x12);
    assert_eq!(node.encode()[node.encode().len() - 2..], [0x0a, 0]);
    assert!(Node::default().encode().is_empty());
}

#[test]
fn a_node_cut_anywhere_is_refused_or_another_node() {
    let blocks = recorded::blocks();
    let (cid, block) = blocks
        .iter()
        .find(|(cid, block)| cid.codec() == Some(Codec::DagPb) && block.len() > 200)
        .unwrap();
    for end in 0..block.len() {
        let cut = block.slice(..end);
        cid.verify(&cut).unwrap_err();
        if let Ok(node) = Node::decode(&cut) {
            assert_eq!(node.encode(), cut, "cut at {end}");
        }
    }
}

/// What a decoder gives of a CAR that comes in pieces of `piece` bytes, and what
/// it says in the end.
fn decode(bytes: &[u8], piece: usize) -> (Vec<(Cid, Bytes)>, Result<(), CodecError>) {
    let mut decoder = Decoder::new(100);
    let mut given = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(block)) => given.push(block),
                Ok(None) => break,
                Err(error) => return (given, Err(error)),
            }
        }
    }
    (given, decoder.finish())
}

#[test]
fn a_car_cut_at_any_byte_is_told_so_and_gives_what_is_whole() {
    let blocks = [&b""[..], b"one", &[7; 100]];
    let blocks = blocks.map(|block| (Cid::of(Codec::Raw, block), Bytes::from_static(block)));
    let mut bytes = car::header(&[blocks[1].0.clone()]);
    // How much of the CAR is there where a part ends.
    let mut ends = vec![bytes.len()];
    for (cid, block) in &blocks {
        bytes.extend(car::section(cid, block));
        ends.push(bytes.len());
    }
    for end in 0..=bytes.len() {
        let whole = ends.iter().filter(|at| **at <= end).count();
        for piece in [1, 7, 1000] {
            let (given, result) = decode(&bytes[..end], piece);
            assert_eq!(given, blocks[..whole.saturating_sub(1)], "cut at {end}");
            assert_eq!(result.is_ok(), ends.contains(&end), "cut at {end}");
            if let Err(error) = result {
                assert!(error.to_string().contains("cut short"), "{error}");
            }
        }
    }
}

#[test]
fn what_is_no_car_is_refused() {
    let (cid, head) = (Cid::of(Codec::Raw, b"1"), car::header(&[]));
    let measured = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let after = |bytes: &[u8]| [&head[..], bytes].concat();
    for (bytes, why) in [
        (Vec::new(), "cut short"),
        (vec![0], "its header is none"),
        // What begins every CAR of version 2.
        (measured(b"\xa1\x67version\x02"), "version 2"),
        (measured(b"\xa1\x65roots\x80"), "its header is none"),
        (measured(b"<!DOCTYPE html>"), "its header is none"),
        (b"<!DOCTYPE html>".to_vec(), "cut short"),
        (vec![0xff; 40], "a length is no number"),
        (vec![0xff, 0xff, 0x7f], "bytes, over 65536"),
        (after(&[0x80, 0x80, 0x80, 0x80, 1]), "bytes, over 268"),
        (after(&[0xff; 11]), "a length is no number"),
        (after(&measured(b"no CID")), "CID"),
        (after(&measured(&cid.as_bytes()[..20])), "CID"),
        (
            after(&car::section(&cid, &[0; 101])),
            "of 101 bytes, over 100",
        ),
    ] {
        for piece in [1, 1000] {
            let (given, result) = decode(&bytes, piece);
            let error = result.unwrap_err().to_string();
            assert!(given.is_empty() && error.contains(why), "{why}: {error}");
        }
    }
}

#[test]
fn what_breaks_a_rule_of_dag_pb_is_refused() {
    let cid = Cid::inlined(Codec::Raw, b"").unwrap();
    let link = [&[0x0a, 4][..], cid.as_bytes()].concat();
    let field =
        |key: u8, body: &[u8]| [&[key, u8::try_from(body.len()).unwrap()][..], body].concat();
    let node = |parts: &[Vec<u8>]| Node::decode(&parts.concat().into());
    let data = field(0x0a, b"data");
    let plain = field(0x12, &link);
    node(&[plain.clone(), plain.clone(), data.clone()]).unwrap();
    node(&[data.clone(), plain.clone()]).unwrap();
    for (parts, why) in [
        (vec![data.clone(), data.clone()], "data twice"),
        (vec![plain.clone(), data.clone(), plain.clone()], "together"),
        (vec![field(0x1a, b"")], "no such field"),
        (vec![vec![0x08, 1]], "no such field"),
        (vec![vec![0x0a, 5, 0]], "longer than what holds it"),
        (
            vec![vec![
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ]],
            "longer than",
        ),
        (vec![vec![0x0a, 0x80, 0]], "a number"),
        (vec![vec![0xff; 11]], "a number"),
        (vec![vec![0x12, 1]], "longer than"),
        (vec![field(0x12, b"")], "no CID"),
        (vec![field(0x12, &[0x12, 0])], "no CID"),
        (vec![field(0x12, &[0x0a, 0])], "CID"),
        (
            vec![field(0x12, &[&link[..], &link].concat())],
            "out of order",
        ),
        (
            vec![field(0x12, &[&[0x12, 0][..], &link].concat())],
            "out of order",
        ),
        (
            vec![field(0x12, &[&link[..], &[0x1a, 0]].concat())],
            "no such field",
        ),
        (
            vec![field(0x12, &[&link[..], &[0x12, 9]].concat())],
            "longer than",
        ),
        (vec![plain.repeat(MAX_LINKS + 1)], "too many links"),
    ] {
        let error = node(&parts).unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
}

#[test]
fn what_breaks_a_rule_of_unixfs_is_refused() {
    let with = |change: fn(&mut Data)| {
        let mut data = Data::shard(vec![0; 32], 256);
        change(&mut data);
        Data::decode(&data.encode().into())
    };
    assert_eq!(with(|_| {}).unwrap().kind, Kind::HamtShard);
    let time = |nanoseconds| {
        let mut data = Data::file(Some(Bytes::from_static(b"1")), vec![2, 3]);
        assert_eq!(data.filesize, Some(6));
        (data.mode, data.mtime) = (
            Some(0o644),
            Some(Mtime {
                seconds: -1,
                nanoseconds,
            }),
        );
        (Data::decode(&data.encode().into()), data)
    };
    let (decoded, data) = time(Some(999_999_999));
    assert_eq!(decoded.unwrap(), data);
    for (result, why) in [
        (time(Some(0)).0, "0 nanoseconds"),
        (time(Some(1_000_000_000)).0, "1000000000 nanoseconds"),
        (with(|data| data.fanout = None), "width None"),
        (with(|data| data.fanout = Some(0)), "width Some(0)"),
        (with(|data| data.fanout = Some(4)), "width Some(4)"),
        (with(|data| data.fanout = Some(255)), "width Some(255)"),
        (with(|data| data.fanout = Some(1 << 40)), "width Some("),
        (with(|data| data.hash_type = None), "hash function None"),
        (
            with(|data| data.hash_type = Some(0x12)),
            "hash function Some(18)",
        ),
        (Data::decode(&Bytes::new()), "no type"),
        (Data::decode(&Bytes::from_static(&[8, 6])), "no type 6"),
        (
            Data::decode(&Bytes::from_static(&[8, 2, 0x12, 9])),
            "buffer",
        ),
        (
            Data::decode(&Bytes::from_static(&[8, 2, 0x42, 0])),
            "without seconds",
        ),
    ] {
        let error = result.unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
}
