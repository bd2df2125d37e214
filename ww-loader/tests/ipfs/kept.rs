//! What a directory of blocks holds, seen from outside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path as HostPath;

use multibase::Base;
use ww_loader::ipld::Cid;

/// What is in a directory of blocks.
pub(crate) struct Kept {
    /// Of what bytes each block is, as CIDs of raw blocks.
    pub(crate) blocks: BTreeSet<Cid>,
    /// Files that somebody writes, or wrote.
    pub(crate) unfinished: usize,
    /// The bytes of all files, in whole pages.
    pub(crate) bytes: u64,
}

/// Looks at every file, and panics where a block is not whole.
pub(crate) fn kept(dir: &HostPath) -> Kept {
    let mut kept = Kept {
        blocks: BTreeSet::new(),
        unfinished: 0,
        bytes: 0,
    };
    // A process that was killed early has not made it.
    for file in fs::read_dir(dir).into_iter().flatten() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let bytes = fs::read(file.path()).unwrap();
        kept.bytes += bytes.len().max(1).next_multiple_of(4096) as u64;
        if name.starts_with(".new-") {
            kept.unfinished += 1;
            continue;
        }
        let hash = Base::Base32Lower.decode(&name).unwrap();
        let cid = Cid::from_bytes(&[&[1, 0x55], &hash[..]].concat()).unwrap();
        cid.verify(&bytes)
            .unwrap_or_else(|error| panic!("{name}, of {} bytes: {error}", bytes.len()));
        kept.blocks.insert(cid);
    }
    kept
}
