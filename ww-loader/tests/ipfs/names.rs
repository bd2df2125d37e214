//! IPNS names are followed by their owners' signatures alone.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use futures_lite::future::{block_on, poll_once};
use libp2p_identity::Keypair;
use ww_loader::http::Ureq;
use ww_loader::ipfs::ipns::{Name, Record, RecordError};
use ww_loader::ipfs::{Blocks, Error, Gateway, IpfsPath, Source, SourceError};
use ww_loader::ipld::Cid;
use ww_loader::{Bytes, async_trait};

use crate::clock::Virtual;
use crate::recorded;
use crate::server::{Reply, Server};

const TARGET: &str = "/ipfs/bafkqaaa/below";

/// What goes into a record.
#[derive(Clone)]
struct Draft<'d> {
    value: &'d str,
    until: &'d str,
    kind: u8,
    sequence: u8,
    copies: bool,
    key: Option<Vec<u8>>,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            value: TARGET,
            until: "2100-01-01T00:00:00.000000001Z",
            kind: 0,
            sequence: 1,
            copies: false,
            key: None,
        }
    }
}

impl Draft<'_> {
    fn sign(&self, by: &Keypair) -> Vec<u8> {
        let data = self.data();
        let signature = by.sign(&[b"ipns-signature:", &data[..]].concat()).unwrap();
        self.entry(&signature, &data)
    }

    /// In the order of DAG-CBOR: by length, then by bytes.
    fn data(&self) -> Vec<u8> {
        let mut data = b"\xa5\x63TTL\x0a\x65Value".to_vec();
        let text = |data: &mut Vec<u8>, text: &str| {
            match u8::try_from(text.len()).unwrap() {
                len @ 0..24 => data.push(0x40 | len),
                len => data.extend_from_slice(&[0x58, len]),
            }
            data.extend_from_slice(text.as_bytes());
        };
        text(&mut data, self.value);
        data.extend_from_slice(b"\x68Sequence");
        data.push(self.sequence);
        data.extend_from_slice(b"\x68Validity");
        text(&mut data, self.until);
        data.extend_from_slice(b"\x6cValidityType");
        data.push(self.kind);
        data
    }

    fn entry(&self, signature: &[u8], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut field = |number: u8, bytes: &[u8]| {
            let mut buffer = unsigned_varint::encode::usize_buffer();
            out.push(number << 3 | 2);
            out.extend_from_slice(unsigned_varint::encode::usize(bytes.len(), &mut buffer));
            out.extend_from_slice(bytes);
        };
        if self.copies {
            field(1, self.value.as_bytes());
            field(4, self.until.as_bytes());
        }
        if let Some(key) = &self.key {
            field(7, key);
        }
        field(8, signature);
        field(9, data);
        if self.copies {
            out.extend_from_slice(&[3 << 3, self.kind, 5 << 3, self.sequence, 6 << 3, 10]);
        }
        out
    }
}

#[test]
fn a_record_counts_only_as_its_owner_signed_it() {
    let (owner, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let name = Name::of(&owner.public());
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let verify = |bytes: &[u8]| Record::verify(&name, bytes, now);
    let draft = Draft::default;
    let copies = Draft {
        copies: true,
        ..draft()
    };
    let keyed = |by: &Keypair| Draft {
        key: Some(by.public().encode_protobuf()),
        ..draft()
    };
    for whole in [
        draft().sign(&owner),
        copies.sign(&owner),
        keyed(&owner).sign(&owner),
    ] {
        let record = verify(&whole).unwrap();
        assert_eq!((&*record.value, record.sequence), (TARGET, 1));
        assert_eq!(record.ttl, Duration::from_nanos(10));
        for at in 0..whole.len() {
            // The copies that old readers have are checked too, so no byte of
            // a record can change.
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            assert!(
                verify(&flipped).map_or(true, |read| read == record),
                "byte {at}"
            );
            assert!(verify(&whole[..at]).is_err(), "cut at {at}");
        }
    }
    let until = |until| Draft { until, ..draft() }.sign(&owner);
    let mut twisted = copies.sign(&owner);
    twisted[2] = b'?';
    for (bytes, why) in [
        (draft().sign(&other), "signature"),
        (keyed(&other).sign(&other), "is not the name's"),
        (keyed(&other).sign(&owner), "is not the name's"),
        (
            Draft {
                key: Some(vec![8, 0, 18, 1, 0]),
                ..draft()
            }
            .sign(&owner),
            "cannot be read",
        ),
        (Draft { kind: 1, ..draft() }.sign(&owner), "type 1"),
        (until("2001-01-01T00:00:00Z"), "ended at 2001"),
        (until("when it ends"), "its end"),
        (until(""), "its end"),
        (twisted, "value is not the signed one"),
        (draft().entry(&[], &draft().data()), "no signature"),
        (draft().entry(b"signature", &[]), "no data"),
        (draft().entry(b"signature", &draft().data()), "signature"),
        (Vec::new(), "no signature"),
        (vec![0xff; 40], "no IPNS record"),
        (vec![0; Record::MAX_LEN + 1], "over 10240"),
    ] {
        let error = verify(&bytes).unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
}

#[test]
fn records_of_every_kind_of_key_that_others_signed_are_verified() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let recorded = recorded::names();
    let kinds: Vec<_> = recorded.keys().copied().collect();
    assert_eq!(kinds, ["ECDSA", "Ed25519", "RSA", "secp256k1"]);
    for (kind, (name, bytes)) in &recorded {
        let record = Record::verify(name, bytes, now).unwrap();
        assert_eq!((&*record.value, record.sequence), (TARGET, 3), "{kind}");
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            // Version 1 signatures are for others, so they may be anything.
            assert!(
                Record::verify(name, &flipped, now).map_or(true, |read| read == record),
                "{kind}: byte {at}"
            );
            assert!(
                Record::verify(name, &bytes[..at], now).map_or(true, |read| read == record),
                "{kind}: cut at {at}"
            );
        }
        for (other, (other_name, _)) in &recorded {
            assert_eq!(
                Record::verify(other_name, bytes, now).is_ok(),
                other == kind,
                "a record of {kind} for a name of {other}"
            );
        }
        let late = now + Duration::from_secs(2000 * 365 * 86_400);
        let error = Record::verify(name, bytes, late).unwrap_err();
        assert!(matches!(error, RecordError::Expired { .. }), "{error}");
    }
}

#[test]
fn keys_that_are_none_are_refused() {
    let [ecdsa, secp256k1] = [
        Keypair::generate_ecdsa().public(),
        Keypair::generate_secp256k1().public(),
    ];
    let (_, rsa) = &recorded::names()["RSA"];
    // The RSA key stands in the record, behind the number of its field.
    let at = rsa.windows(4).position(|four| four == [8, 0, 18, 0xa6]);
    let rsa = &rsa[at.unwrap()..][..0x12b];
    let keys = [
        rsa.to_vec(),
        ecdsa.encode_protobuf(),
        secp256k1.encode_protobuf(),
        Keypair::generate_ed25519().public().encode_protobuf(),
    ];
    let mut others = vec![Vec::new(), vec![0], vec![0xff; 40], vec![8, 9, 18, 1, 0]];
    for key in &keys {
        let name = Name::of(&libp2p_identity::PublicKey::try_decode_protobuf(key).unwrap());
        let said = |key: Vec<u8>| {
            let draft = Draft {
                key: Some(key),
                ..Draft::default()
            };
            let bytes = draft.entry(b"signature", &draft.data());
            Record::verify(&name, &bytes, SystemTime::UNIX_EPOCH).unwrap_err()
        };
        assert_eq!(said(key.clone()), RecordError::Signature);
        for kind in 0..6 {
            // The bytes of one kind of key, said to be of another.
            let mut twisted = key.clone();
            if twisted[1] != kind {
                twisted[1] = kind;
                others.push(twisted);
            }
        }
        for end in 0..key.len() {
            let error = said(key[..end].to_vec());
            let none = matches!(error, RecordError::Key { .. } | RecordError::Signature);
            assert!(none, "cut at {end}: {error}");
        }
        for other in &others {
            let error = said(other.clone());
            let none = matches!(error, RecordError::Key { .. } | RecordError::Signature);
            assert!(none, "{other:?}: {error}");
        }
    }
    // A key that signs is not enough: it must be the name's.
    for by in [Keypair::generate_ecdsa(), Keypair::generate_secp256k1()] {
        let draft = Draft {
            key: Some(by.public().encode_protobuf()),
            ..Draft::default()
        };
        let signed = draft.sign(&by);
        let now = SystemTime::UNIX_EPOCH;
        assert!(Record::verify(&Name::of(&by.public()), &signed, now).is_ok());
        let other = Name::of(&Keypair::generate_ecdsa().public());
        let error = Record::verify(&other, &signed, now).unwrap_err();
        assert!(matches!(error, RecordError::Key { .. }), "{error}");
    }
}

#[test]
fn names_are_read_in_every_form_and_dns_is_refused() {
    let key = Keypair::generate_ed25519().public();
    let name = Name::of(&key);
    assert!(name.to_string().starts_with("k51qzi5uqu5"), "{name}");
    let peer = key.to_peer_id();
    let bytes = [&[1, 0x72][..], &peer.to_bytes()].concat();
    let base32 = multibase::encode(multibase::Base::Base32Lower, bytes);
    for text in [name.to_string(), peer.to_string(), base32] {
        assert_eq!(text.parse::<Name>().unwrap(), name, "{text}");
    }
    let raw = Cid::of(ww_loader::ipld::Codec::Raw, b"").to_string();
    for (text, why) in [
        ("docs.ipfs.tech", "DNSLink"),
        (&*raw, "not that of a key"),
        ("", "neither"),
        ("a b", "neither"),
        (&"1".repeat(4096), "neither"),
    ] {
        let error = text.parse::<Name>().unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// Has records by name.
#[derive(Default)]
struct Records(Mutex<BTreeMap<String, Vec<u8>>>);

impl Records {
    fn put(&self, by: &Keypair, draft: &Draft<'_>) {
        let name = Name::of(&by.public()).to_string();
        self.0.lock().unwrap().insert(name, draft.sign(by));
    }
}

#[async_trait]
impl Source for Records {
    fn name(&self) -> &str {
        "records"
    }

    async fn block(&self, _: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        Err(SourceError::Missing)
    }

    async fn record(&self, name: &Name, _: Duration) -> Result<Bytes, SourceError> {
        let records = self.0.lock().unwrap();
        let record = records.get(&name.to_string()).cloned();
        record.map(Bytes::from).ok_or(SourceError::Missing)
    }
}

#[test]
fn the_newest_record_of_all_sources_counts_and_none_goes_back() {
    let owner = Keypair::generate_ed25519();
    let name = Name::of(&owner.public());
    let at = |value, sequence| Draft {
        value,
        sequence,
        ..Draft::default()
    };
    let sources = [(); 2].map(|()| std::sync::Arc::new(Records::default()));
    let [one, other] = &sources;
    let blocks = Blocks::builder()
        .source(one.clone())
        .source(other.clone())
        .build();
    let text = format!("/ipns/{name}/x/y");
    let resolve = || block_on(blocks.resolve(&text));

    let nowhere = resolve().unwrap_err();
    assert!(matches!(&nowhere, Error::Name { attempts, .. } if attempts.len() == 2));
    assert!(nowhere.to_string().contains(&name.to_string()), "{nowhere}");

    one.put(&owner, &at("/ipfs/bafkqaaa", 5));
    other.put(&owner, &at(TARGET, 6));
    assert_eq!(resolve().unwrap().to_string(), "/ipfs/bafkqaaa/below/x/y");
    other.put(&owner, &at(TARGET, 4));
    let back = resolve().unwrap_err();
    let old = |attempt: &ww_loader::ipfs::Attempt| {
        matches!(
            attempt.error,
            SourceError::Record(RecordError::Old { seen: 6, .. })
        )
    };
    assert!(
        matches!(&back, Error::Name { attempts, .. } if attempts.iter().all(old)),
        "{back}"
    );
}

#[test]
fn a_gateway_is_asked_for_the_record_itself() {
    let owner = Keypair::generate_ed25519();
    let record = Draft::default().sign(&owner);
    let server = Server::new(move |_| Reply::Whole(200, record.clone()));
    let blocks = Blocks::builder().source(Gateway::new(&*server.url, Ureq::new()));
    let name = Name::of(&owner.public());
    let found = block_on(blocks.build().record(&name)).unwrap();
    assert_eq!(found.value, TARGET);
    let asked = &server.asked()[0];
    assert_eq!(asked.target, format!("/ipns/{name}?format=ipns-record"));
    let accept = "accept: application/vnd.ipfs.ipns-record";
    assert!(
        asked.headers.iter().any(|field| field == accept),
        "{asked:?}"
    );

    let endless = Server::new(|_| Reply::Endless(Vec::new()));
    let blocks = Blocks::builder().source(Gateway::new(&*endless.url, Ureq::new()));
    let error = block_on(blocks.build().record(&name)).unwrap_err();
    assert!(
        error.to_string().contains("more than 10240 bytes"),
        "{error}"
    );
}

/// Lets time pass, and never answers.
struct Stalls(Virtual);

#[async_trait]
impl Source for Stalls {
    fn name(&self) -> &str {
        "stalls"
    }

    async fn block(&self, _: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        Err(SourceError::Missing)
    }

    async fn record(&self, _: &Name, timeout: Duration) -> Result<Bytes, SourceError> {
        self.0.advance(timeout);
        std::future::pending().await
    }
}

#[test]
fn a_source_that_stalls_keeps_nobody_from_the_record_of_another() {
    let owner = Keypair::generate_ed25519();
    let records = std::sync::Arc::new(Records::default());
    let clock = Virtual::default();
    let blocks = Blocks::builder()
        .clock(clock.clone())
        .source(Stalls(clock))
        .source(records.clone())
        .build();
    let name = Name::of(&owner.public());
    let error = block_on(blocks.record(&name)).unwrap_err();
    let text = error.to_string();
    let wanted = "stalls: no answer within 30s; records: an answer without the block";
    assert!(text.contains(wanted), "{text}");
    assert!(text.contains(&name.to_string()), "{text}");
    records.put(&owner, &Draft::default());
    assert_eq!(block_on(blocks.record(&name)).unwrap().value, TARGET);
}

#[test]
fn a_path_of_ipfs_is_taken_as_it_stands() {
    for (text, path) in [
        ("/ipfs/bafkqaaa", ""),
        ("/ipfs/bafkqaaa/", ""),
        ("/ipfs/bafkqaaa//a///./b/", "a/b"),
        ("/ipfs/bafkqaaa/a%2Fb", "a%2Fb"),
        ("/ipfs/bafkqaaa/%2e%2e/%00", "%2e%2e/%00"),
        ("/ipfs/bafkqaaa/a?b#c\\d", "a?b#c\\d"),
        ("/ipfs/bafkqaaa/\u{e9}/ ", "\u{e9}/ "),
    ] {
        let parsed: IpfsPath = text.parse().unwrap();
        assert_eq!(parsed.path.as_str(), path, "{text:?}");
        assert_eq!(parsed.to_string().parse::<IpfsPath>().unwrap(), parsed);
    }
    let long = format!("/ipfs/bafkqaaa/{}", "x".repeat(256));
    let endless = format!("/ipfs/bafkqaaa/{}", "x/".repeat(4096));
    for (text, why) in [
        ("/ipfs/bafkqaaa/..", "`..`"),
        ("/ipfs/bafkqaaa/a/../../b", "`..`"),
        ("/ipfs/bafkqaaa/a\0b", "NUL"),
        ("/ipfs/bafkqaaa%2Fa", "no CID"),
        ("/ipfs//bafkqaaa", "no CID"),
        ("/ipfs/../etc/passwd", "no CID"),
        ("/IPFS/bafkqaaa", "does not begin with /ipfs/"),
        ("ipfs/bafkqaaa", "does not begin with /ipfs/"),
        (&long, "255 bytes"),
        (&endless, "4096 bytes"),
    ] {
        let error = text.parse::<IpfsPath>().unwrap_err().to_string();
        assert!(error.contains("is not an IPFS path"), "{error}");
        assert!(error.contains(why) || why == "no CID", "{why}: {error}");
        assert!(error.len() < 1024, "{error}");
    }
}

#[test]
fn names_of_names_are_followed_but_not_round_in_circles() {
    let (a, b) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let to = |key: &Keypair| format!("/ipns/{}", Name::of(&key.public()));
    let records = std::sync::Arc::new(Records::default());
    let blocks = Blocks::builder().source(records.clone()).build();
    let point = |by: &Keypair, value: &str, sequence| {
        let draft = Draft {
            value,
            sequence,
            ..Draft::default()
        };
        records.put(by, &draft);
    };
    point(&a, &format!("{}/mid", to(&b)), 1);
    point(&b, TARGET, 1);
    let found = block_on(blocks.resolve(&format!("{}/end", to(&a)))).unwrap();
    assert_eq!(found.to_string(), "/ipfs/bafkqaaa/below/mid/end");
    point(&b, &to(&a), 2);
    let round = block_on(blocks.resolve(&to(&a))).unwrap_err();
    assert!(round.to_string().contains("too often"), "{round}");
    point(&b, "/ipns/example.com", 3);
    let dns = block_on(blocks.resolve(&to(&a))).unwrap_err();
    assert!(dns.to_string().contains("DNSLink"), "{dns}");
    for text in [
        "",
        "/",
        "/ipfs",
        "/ipns/",
        "ipfs://bafkqaaa",
        "/ipfs/bafkqaaa/../x",
        "bafkqaaa",
    ] {
        let error = block_on(blocks.resolve(text)).unwrap_err();
        assert!(error.to_string().contains("is not an IPFS path"), "{error}");
    }
}

/// Answers once it is let.
struct Gated(async_channel::Receiver<()>);

#[async_trait]
impl Source for Gated {
    fn name(&self) -> &str {
        "gated"
    }

    async fn block(&self, _: &Cid, _: usize, _: Duration) -> Result<Bytes, SourceError> {
        Err(SourceError::Missing)
    }

    async fn record(&self, _: &Name, _: Duration) -> Result<Bytes, SourceError> {
        self.0.recv().await.unwrap();
        Err(SourceError::Missing)
    }
}

#[test]
fn who_waits_for_a_source_does_not_fall_behind_who_does_not() {
    let owner = Keypair::generate_ed25519();
    let name = Name::of(&owner.public());
    let at = |sequence| Draft {
        sequence,
        ..Draft::default()
    };
    let records = std::sync::Arc::new(Records::default());
    let (open, gate) = async_channel::unbounded();
    let blocks = Blocks::builder()
        .clock(Virtual::default())
        .source(records.clone())
        .source(Gated(gate))
        .build();
    records.put(&owner, &at(4));
    let mut slow = Box::pin(blocks.record(&name));
    assert!(
        block_on(poll_once(&mut slow)).is_none(),
        "it has 4, and waits"
    );
    records.put(&owner, &at(5));
    let mut quick = Box::pin(blocks.record(&name));
    assert!(
        block_on(poll_once(&mut quick)).is_none(),
        "it has 5, and waits"
    );
    open.try_send(()).unwrap();
    open.try_send(()).unwrap();
    let error = block_on(slow).unwrap_err();
    let Error::Name { attempts, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        matches!(
            attempts[0].error,
            SourceError::Record(RecordError::Old {
                sequence: 4,
                seen: 5
            })
        ) && attempts[0].source == "records",
        "{error}"
    );
    assert_eq!(block_on(quick).unwrap().sequence, 5);
}

#[test]
fn a_version_that_is_known_from_before_counts_as_seen() {
    let owner = Keypair::generate_ed25519();
    let name = Name::of(&owner.public());
    let records = std::sync::Arc::new(Records::default());
    let at = |sequence| Draft {
        sequence,
        ..Draft::default()
    };
    let earlier = Blocks::builder().source(records.clone()).build();
    assert_eq!(earlier.seen(&name), None);
    records.put(&owner, &at(7));
    block_on(earlier.resolve(&format!("/ipns/{name}"))).unwrap();
    let seen = earlier.seen(&name).unwrap();
    assert_eq!(seen, 7);

    let later = Blocks::builder()
        .source(records.clone())
        .known(&name, seen)
        .known(&name, 3)
        .build();
    for (sequence, taken) in [(6, false), (7, true), (8, true), (7, false)] {
        records.put(&owner, &at(sequence));
        let record = block_on(later.record(&name));
        assert_eq!(record.is_ok(), taken, "{sequence}");
    }
    assert_eq!(later.seen(&name), Some(8));
}
