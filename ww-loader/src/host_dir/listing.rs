use std::os::fd::AsFd;
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, statat};
use rustix::io::Errno;

use super::walk::Tree;
use crate::path::utf8;
use crate::{Entry, Error, Kind, Node, Path};

/// How many entries one trip to the blocking pool brings.
const BATCH: usize = 256;

pub(super) fn node(tree: Arc<Tree>, path: Path, dir: Dir) -> Node {
    let listing = Listing { tree, path, dir };
    let batches = stream::unfold(Some(listing), |listing| async {
        let listing = listing?;
        Some(blocking::unblock(move || listing.batch()).await)
    });
    Node::Dir(Box::pin(batches.flat_map(stream::iter)))
}

struct Listing {
    tree: Arc<Tree>,
    path: Path,
    dir: Dir,
}

type Batch = Vec<Result<Entry, Error>>;

impl Listing {
    /// The next entries, and the rest of the listing if there is one.
    fn batch(mut self) -> (Batch, Option<Self>) {
        let mut batch = Batch::new();
        for _ in 0..BATCH {
            match self.dir.read() {
                Some(Ok(entry)) => batch.extend(self.entry(&entry).transpose()),
                Some(Err(errno)) => {
                    batch.push(Err(self.tree.error(&self.path, errno)));
                    return (batch, None);
                }
                None => return (batch, None),
            }
        }
        (batch, Some(self))
    }

    fn entry(&self, entry: &DirEntry) -> Result<Option<Entry>, Error> {
        let bytes = entry.file_name().to_bytes();
        if bytes == b"." || bytes == b".." {
            return Ok(None);
        }
        let name = utf8(bytes).map_err(|source| Error::Name {
            path: self.path.clone(),
            loader: self.tree.name.clone(),
            source,
        })?;
        let kind = match self.file_type(entry) {
            Ok(FileType::RegularFile) => Kind::File,
            Ok(FileType::Directory) => Kind::Dir,
            Ok(FileType::Symlink) => Kind::Link,
            // Removed since it was listed.
            Ok(_) | Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.tree.error(&self.path, errno)),
        };
        let name = name.to_owned();
        Ok(Some(Entry { name, kind }))
    }

    /// Some file systems list names without their types.
    fn file_type(&self, entry: &DirEntry) -> Result<FileType, Errno> {
        match entry.file_type() {
            FileType::Unknown => {
                let dir = self.dir.fd()?;
                let stat = statat(dir.as_fd(), entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(FileType::from_raw_mode(stat.st_mode))
            }
            known => Ok(known),
        }
    }
}
