use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::buffer::spare_capacity;
use rustix::io::{pread, retry_on_intr};

use super::walk::Tree;
use crate::{Error, File, Node, Path};

pub(super) fn node(tree: Arc<Tree>, path: Path, fd: OwnedFd, len: u64) -> Node {
    let open = Arc::new(Open { tree, path, fd });
    Node::File(Arc::new(HostFile { open, len }))
}

struct HostFile {
    open: Arc<Open>,
    len: u64,
}

struct Open {
    tree: Arc<Tree>,
    path: Path,
    fd: OwnedFd,
}

#[async_trait]
impl File for HostFile {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        match len.min(left) {
            0 => Ok(Bytes::new()),
            len => {
                let open = self.open.clone();
                blocking::unblock(move || open.read(offset, len)).await
            }
        }
    }
}

impl Open {
    /// Exactly `len` bytes from `offset`.
    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Error> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| Error::Io {
            path: self.path.clone(),
            loader: self.tree.name.clone(),
            source: io::ErrorKind::OutOfMemory.into(),
        })?;
        while bytes.len() < len {
            let at = offset + bytes.len() as u64;
            let read = retry_on_intr(|| pread(&self.fd, spare_capacity(&mut bytes), at))
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
