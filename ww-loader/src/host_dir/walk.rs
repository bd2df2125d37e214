use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result as Sys, retry_on_intr};

use super::{file, listing};
use crate::path::utf8;
use crate::{Error, Link, Node, Path};

/// The open root and how one walks down from it.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) name: String,
    pub(super) fd: OnceLock<OwnedFd>,
}

/// What a directory is opened with on the way down: search permission is all a
/// walk needs, where the system has a word for that.
const WALK: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(PATH);
#[cfg(any(target_os = "linux", target_os = "android"))]
const PATH: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PATH: OFlags = OFlags::RDONLY;

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

impl Tree {
    pub(super) fn open(self: &Arc<Self>, path: &Path) -> Result<Node, Error> {
        let root = self.root()?;
        let Some(name) = path.name() else {
            return self.dir(root, ".", path);
        };
        let held = self.parent(path)?;
        self.last(held.as_ref().map_or(root, fd), name, path)
    }

    /// Opens the file that was found at `path`, if a file stands there still.
    pub(super) fn reopen(&self, path: &Path) -> Result<(File, Stat), Error> {
        let root = self.root()?;
        let gone = |error: Error| match error.is_not_found() || error.not_directory().is_some() {
            true => self.changed(path),
            false => error,
        };
        let name = path.name().unwrap_or_default();
        let held = self.parent(path).map_err(gone)?;
        let dir = held.as_ref().map_or(root, fd);
        match self.regular(dir, name, path) {
            Ok(Some(opened)) => Ok(opened),
            Ok(None) => Err(self.changed(path)),
            Err(error) => Err(gone(error)),
        }
    }

    /// The directory that the last component stands in, unless that is the
    /// root.
    fn parent(&self, path: &Path) -> Result<Option<OwnedFd>, Error> {
        let root = self.root()?;
        let mut held = None;
        for (depth, part) in path.components().enumerate() {
            if depth + 1 == path.components().count() {
                break;
            }
            let dir = held.as_ref().map_or(root, fd);
            held = Some(match open_at(dir, part, WALK | OFlags::NOFOLLOW) {
                Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {
                    return Err(self.not_directory(path, path.prefix(depth + 1)));
                }
                opened => opened.map_err(|errno| self.error(path, errno))?,
            });
        }
        Ok(held)
    }

    /// Opens the last component. It is looked at first: opening a device has
    /// effects, and opening a pipe may wait for ever.
    fn last(self: &Arc<Self>, dir: BorrowedFd<'_>, name: &str, path: &Path) -> Result<Node, Error> {
        let stat = self.look(dir, name, path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.dir(dir, name, path),
            FileType::Symlink => self.link(dir, name, path),
            FileType::RegularFile => match self.regular(dir, name, path)? {
                Some((opened, stat)) => Ok(file::node(self.clone(), path.clone(), &opened, stat)),
                None => Err(self.special(path)),
            },
            _ => Err(self.special(path)),
        }
    }

    fn look(&self, dir: BorrowedFd<'_>, name: &str, path: &Path) -> Result<Stat, Error> {
        retry_on_intr(|| fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))
            .map_err(|errno| self.error(path, errno))
    }

    /// Opens a file, or nothing where something else stands.
    fn regular(
        &self,
        dir: BorrowedFd<'_>,
        name: &str,
        path: &Path,
    ) -> Result<Option<(File, Stat)>, Error> {
        let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file(&self.look(dir, name, path)?) {
            return Ok(None);
        }
        // What was looked at may have been replaced since.
        let flags = READ | OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = open_at(dir, name, flags).map_err(|errno| self.error(path, errno))?;
        let stat = fs::fstat(&opened).map_err(|errno| self.error(path, errno))?;
        Ok(is_file(&stat).then(|| (opened.into(), stat)))
    }

    fn dir(self: &Arc<Self>, dir: BorrowedFd<'_>, name: &str, path: &Path) -> Result<Node, Error> {
        let opened = open_at(dir, name, READ | OFlags::DIRECTORY);
        let stream = opened.and_then(fs::Dir::new);
        match stream {
            Ok(dir) => Ok(listing::node(self.clone(), path.clone(), dir)),
            Err(errno) if path.is_root() => Err(self.root_error(errno)),
            Err(errno) => Err(self.error(path, errno)),
        }
    }

    fn link(&self, dir: BorrowedFd<'_>, name: &str, path: &Path) -> Result<Node, Error> {
        let text = retry_on_intr(|| fs::readlinkat(dir, name, Vec::new()))
            .map_err(|errno| self.error(path, errno))?;
        let parent = path.parent().unwrap_or_else(Path::root);
        let link = utf8(text.as_bytes()).and_then(|text| Link::new(&parent, text));
        link.map(Node::Link).map_err(|source| Error::Link {
            path: path.clone(),
            loader: self.name.clone(),
            source,
        })
    }

    fn root(&self) -> Result<BorrowedFd<'_>, Error> {
        if let Some(root) = self.fd.get() {
            return Ok(fd(root));
        }
        let opened = retry_on_intr(|| fs::open(&self.root, WALK, Mode::empty()))
            .map_err(|errno| self.root_error(errno))?;
        Ok(fd(self.fd.get_or_init(|| opened)))
    }

    pub(super) fn error(&self, path: &Path, errno: Errno) -> Error {
        let (path, loader) = (path.clone(), self.name.clone());
        match errno {
            Errno::NOENT => Error::NotFound { path, loader },
            errno => Error::Io {
                path,
                loader,
                source: errno.into(),
            },
        }
    }

    pub(super) fn changed(&self, path: &Path) -> Error {
        let (path, loader) = (path.clone(), self.name.clone());
        Error::Changed { path, loader }
    }

    fn not_directory(&self, path: &Path, at: Path) -> Error {
        let (path, loader) = (path.clone(), self.name.clone());
        Error::NotDirectory { path, at, loader }
    }

    fn special(&self, path: &Path) -> Error {
        let (path, loader) = (path.clone(), self.name.clone());
        Error::Special { path, loader }
    }

    fn root_error(&self, errno: Errno) -> Error {
        Error::Root {
            loader: self.name.clone(),
            source: errno.into(),
        }
    }
}

fn open_at(dir: BorrowedFd<'_>, name: &str, flags: OFlags) -> Sys<OwnedFd> {
    retry_on_intr(|| fs::openat(dir, name, flags, Mode::empty()))
}

fn fd(owned: &OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(owned)
}
