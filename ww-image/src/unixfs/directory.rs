use ww_loader::ipld::dag_pb::{Link, Node};
use ww_loader::ipld::unixfs::Data;

use super::Root;
use crate::Profile;

/// The size of a directory, as its profile tells it, above which it is put into
/// shards.
const THRESHOLD: usize = 256 << 10;

/// How many places a shard has: one for each value of a byte of the hash.
const FANOUT: u64 = 256;

/// The bytes of a hash: as many levels of shards there can be.
const LEVELS: usize = 8;

/// An entry of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) root: Root,
}

/// Two names whose hashes are equal, so that no trie of shards can hold both.
#[derive(Debug)]
pub(crate) struct Collision(pub(crate) String, pub(crate) String);

/// The directory of `entries`, each name once.
pub(crate) fn directory(profile: Profile, entries: &[Named]) -> Result<Root, Collision> {
    if profile == Profile::UnixFsV0_2015 && names_and_cids(entries) > THRESHOLD {
        return sharded(profile, entries);
    }
    let links = entries
        .iter()
        .map(|entry| Link::new(&entry.name, entry.root.cid.clone(), entry.root.size));
    let (root, len) = profile.block(&Node {
        links: links.collect(),
        data: Some(Data::directory().encode().into()),
    });
    match profile {
        Profile::UnixFsV1_2025 if len > THRESHOLD => sharded(profile, entries),
        _ => Ok(root),
    }
}

fn names_and_cids(entries: &[Named]) -> usize {
    let sizes = entries
        .iter()
        .map(|entry| entry.name.len() + entry.root.cid.as_bytes().len());
    sizes.sum()
}

fn sharded(profile: Profile, entries: &[Named]) -> Result<Root, Collision> {
    let mut hashed: Vec<_> = entries
        .iter()
        .map(|entry| (hash(&entry.name), entry))
        .collect();
    // Whatever goes into one shard, at any level, then stands together.
    hashed.sort_by_key(|(hash, _)| *hash);
    shard(profile, &hashed, 0)
}

/// A shard of entries whose hashes agree in the bytes before `level`.
fn shard(
    profile: Profile,
    entries: &[([u8; LEVELS], &Named)],
    level: usize,
) -> Result<Root, Collision> {
    let mut bits = [0; FANOUT as usize / 8];
    let mut links = Vec::new();
    for same in entries.chunk_by(|(one, _), (other, _)| one[level] == other[level]) {
        let place = same[0].0[level];
        bits[bits.len() - 1 - usize::from(place / 8)] |= 1 << (place % 8);
        let (name, root) = match same {
            [(_, entry)] => (format!("{place:02X}{}", entry.name), entry.root.clone()),
            [(_, one), (_, other), ..] if level + 1 == LEVELS => {
                return Err(Collision(one.name.clone(), other.name.clone()));
            }
            _ => (format!("{place:02X}"), shard(profile, same, level + 1)?),
        };
        links.push(Link::new(name, root.cid, root.size));
    }
    let unused = bits.iter().take_while(|byte| **byte == 0).count();
    Ok(profile.node(links, &Data::shard(bits[unused..].to_vec(), FANOUT)))
}

/// murmur3-x64-64: the first half of the 128 bits, highest byte first.
fn hash(name: &str) -> [u8; LEVELS] {
    let mut bytes = name.as_bytes();
    // Reading from memory does not fail.
    let hash = murmur3::murmur3_x64_128(&mut bytes, 0).unwrap_or_default();
    (hash as u64).to_be_bytes()
}
