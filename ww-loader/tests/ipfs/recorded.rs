//! Trees that `ipfs-unixfs-importer` packed, and records that `ipns` signed;
//! `tests/npm/record.mjs` writes them.

use std::collections::BTreeMap;

use ww_loader::Bytes;
use ww_loader::ipfs::ipns::Name;
use ww_loader::ipld::Cid;

const RECORDED: &str = include_str!("../recorded/blocks.txt");

/// The roots of the trees by name.
pub(crate) fn roots() -> BTreeMap<&'static str, Cid> {
    lines("root")
        .map(|(name, cid)| (name, cid.parse().unwrap()))
        .collect()
}

/// All blocks of all trees.
pub(crate) fn blocks() -> BTreeMap<Cid, Bytes> {
    lines("block")
        .map(|(cid, base64)| {
            let bytes = multibase::Base::Base64Pad.decode(base64).unwrap();
            (cid.parse().unwrap(), bytes.into())
        })
        .collect()
}

/// A name and its record for each kind of key, by kind; the records say
/// `/ipfs/bafkqaaa/below` for the next thousand years.
pub(crate) fn names() -> BTreeMap<&'static str, (Name, Vec<u8>)> {
    lines("name")
        .map(|(kind, rest)| {
            let (name, base64) = rest.split_once(' ').unwrap();
            let record = multibase::Base::Base64Pad.decode(base64).unwrap();
            (kind, (name.parse().unwrap(), record))
        })
        .collect()
}

fn lines(kind: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    RECORDED.lines().filter_map(move |line| {
        let (name, value) = line.strip_prefix(kind)?.trim_start().split_once(' ')?;
        Some((name, value))
    })
}
