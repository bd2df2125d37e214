use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::PrivateDir;
use crate::ipld::Cid;

/// Blocks on disk, in a directory that belongs to the process's user alone
/// (mode 0700), and that any number of processes may share. Unix only.
///
/// A block is its own seal: it is checked again each time it is read, and one
/// that was cut or changed is removed and counts as not there. It appears all
/// at once, by rename, so that a crash leaves no half of one. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    directory: PrivateDir,
    most: u64,
    /// Whoever counts anew keeps others from adding to the old count.
    held: Mutex<Held>,
}

/// Bytes that are there, as far as this process knows.
#[derive(Debug)]
struct Held {
    /// What was counted, and what was written since.
    bytes: u64,
    /// What was written since.
    new: u64,
}

impl Disk {
    /// Blocks in the directory `path`, which is made, with its parents, where
    /// there is none. Those used longest ago are removed where all together
    /// have more than `most` bytes, each counted in whole pages of 4 KiB. Other
    /// files in the directory are left alone.
    ///
    /// Each process that shares the directory looks at what others have put there
    /// when it has written a tenth of that, so together they keep within it but
    /// for a tenth from each of the others.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read, does not belong to the
    /// process's user, or lets others in.
    pub fn open(path: impl AsRef<Path>, most: u64) -> io::Result<Self> {
        let path = path.as_ref();
        let directory = PrivateDir::open(path).map_err(|error| {
            let text = format!("blocks cannot be kept in {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        let held = directory.trim(most, is_block)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            directory,
            most,
            held: Mutex::new(Held {
                bytes: held,
                new: 0,
            }),
        })))
    }

    /// Where the blocks are.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The block, where there is one of at most `limit` bytes that has its
    /// hash.
    pub(super) async fn find(&self, cid: &Cid, limit: usize) -> Option<Bytes> {
        let (inner, cid) = (self.0.clone(), cid.clone());
        blocking::unblock(move || {
            let name = name(&cid);
            let block = inner.directory.read(&name, limit as u64)?;
            if cid.verify(&block).is_err() {
                inner.directory.remove(&name);
                return None;
            }
            Some(block.into())
        })
        .await
    }

    /// Keeps a block that was checked, unless the directory does not take it:
    /// then it is asked for again some day.
    pub(super) async fn keep(&self, cid: &Cid, block: Bytes) {
        let (inner, cid) = (self.0.clone(), cid.clone());
        blocking::unblock(move || {
            let len = PrivateDir::weight(block.len() as u64);
            if len > inner.most || inner.directory.write(&name(&cid), &[&block]).is_err() {
                return;
            }
            let mut held = inner.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.bytes += len;
            held.new += len;
            // A tenth of room, so that not every block looks at all files.
            let tenth = inner.most / 10;
            if held.bytes > inner.most || held.new > tenth {
                let trimmed = inner.directory.trim(inner.most - tenth, is_block);
                held.bytes = trimmed.unwrap_or(held.bytes);
                held.new = 0;
            }
        })
        .await;
    }
}

/// Whether a file is called as a block is.
fn is_block(name: &str) -> bool {
    let hash = multibase::Base::Base32Lower.decode(name);
    // As a CID of version 1 has it, of a raw block.
    let cid = hash.map(|hash| Cid::from_bytes(&[&[1, 0x55], &*hash].concat()));
    matches!(cid, Ok(Ok(cid)) if cid.inline().is_none() && cid.verifiable().is_ok())
}

/// By multihash, so that CIDs of the same bytes share a file.
fn name(cid: &Cid) -> String {
    multibase::Base::Base32Lower.encode(cid.multihash())
}
