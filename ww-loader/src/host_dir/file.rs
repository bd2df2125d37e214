use std::fs;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::fs::Stat;
use rustix::io::{pread, retry_on_intr};

use super::walk::Tree;
use crate::{Error, File, Node, Path};

pub(super) fn node(tree: Arc<Tree>, path: Path, opened: &fs::File, stat: Stat) -> Node {
    let file = Arc::new(Found {
        tree,
        path,
        stat,
        born: born(opened),
        len: u64::try_from(stat.st_size).unwrap_or(0),
    });
    Node::File(Arc::new(HostFile(file)))
}

struct HostFile(Arc<Found>);

/// Where a file stands and how to know it again. It is opened for each read:
/// whoever reads may keep thousands, and the process has few descriptors.
struct Found {
    tree: Arc<Tree>,
    path: Path,
    stat: Stat,
    born: Option<SystemTime>,
    len: u64,
}

#[async_trait]
impl File for HostFile {
    fn len(&self) -> u64 {
        self.0.len
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let left = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        match len.min(left) {
            0 => Ok(Bytes::new()),
            len => {
                let file = self.0.clone();
                blocking::unblock(move || file.read(offset, len)).await
            }
        }
    }
}

impl Found {
    /// Exactly `len` bytes from `offset`.
    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let (opened, stat) = self.tree.reopen(&self.path)?;
        let is_same = (stat.st_dev, stat.st_ino) == (self.stat.st_dev, self.stat.st_ino);
        if !is_same || born(&opened) != self.born {
            return Err(self.tree.changed(&self.path));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Error::Io {
            path: self.path.clone(),
            loader: self.tree.name.clone(),
            source: io::ErrorKind::OutOfMemory.into(),
        })?;
        while bytes.len() < len {
            let at = offset + bytes.len() as u64;
            let read = retry_on_intr(|| pread(&opened, spare_capacity(&mut bytes), at))
                .map_err(|errno| self.tree.error(&self.path, errno))?;
            if read == 0 {
                return Err(self.tree.changed(&self.path));
            }
        }
        // The allocator may have given more room than was asked for.
        bytes.truncate(len);
        Ok(bytes.into())
    }
}

/// When the file came to be, where the file system says: one that takes the place of
/// another that is gone often has its inode.
fn born(opened: &fs::File) -> Option<SystemTime> {
    opened.metadata().ok()?.created().ok()
}
