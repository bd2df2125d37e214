use std::time::Duration;

use super::dir::Dir;
use super::pages::Pages;
use crate::wasi::wit::filesystem::types::{DescriptorType, ErrorCode};

/// What a node is charged besides its contents: more than it takes in the
/// host, its place in the table included.
pub(super) const NODE: u64 = 512;

/// What a name in a directory is charged besides its bytes.
pub(super) const NAME: u64 = 128;

/// A file, directory or symbolic link.
pub(super) struct Node {
    pub(super) body: Body,
    /// Names that lead here. The root, which has none, counts as named.
    pub(super) links: u64,
    /// Descriptors and streams that hold it open.
    pub(super) opens: u64,
    /// Times since 1970. Reading leaves no trace.
    pub(super) accessed: Duration,
    pub(super) modified: Duration,
    pub(super) changed: Duration,
}

pub(super) enum Body {
    File(Pages),
    Dir(Dir),
    Link(Box<str>),
}

impl Node {
    pub(super) fn new(body: Body, now: Duration) -> Self {
        Self {
            body,
            links: 0,
            opens: 0,
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    pub(super) fn kind(&self) -> DescriptorType {
        match self.body {
            Body::File(_) => DescriptorType::RegularFile,
            Body::Dir(_) => DescriptorType::Directory,
            Body::Link(_) => DescriptorType::SymbolicLink,
        }
    }

    pub(super) fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir(_))
    }

    /// That of a directory, see [`Dir::height`].
    pub(super) fn height(&self) -> Option<u16> {
        self.dir().ok().map(Dir::height)
    }

    pub(super) fn dir(&self) -> Result<&Dir, ErrorCode> {
        match &self.body {
            Body::Dir(dir) => Ok(dir),
            _ => Err(ErrorCode::NotDirectory),
        }
    }

    pub(super) fn dir_mut(&mut self) -> Result<&mut Dir, ErrorCode> {
        match &mut self.body {
            Body::Dir(dir) => Ok(dir),
            _ => Err(ErrorCode::NotDirectory),
        }
    }

    pub(super) fn file(&self) -> Result<&Pages, ErrorCode> {
        match &self.body {
            Body::File(pages) => Ok(pages),
            _ => Err(ErrorCode::IsDirectory),
        }
    }

    pub(super) fn file_mut(&mut self) -> Result<&mut Pages, ErrorCode> {
        match &mut self.body {
            Body::File(pages) => Ok(pages),
            _ => Err(ErrorCode::IsDirectory),
        }
    }

    /// As `stat` tells it.
    pub(super) fn size(&self) -> u64 {
        match &self.body {
            Body::File(pages) => pages.len(),
            Body::Dir(_) => 0,
            Body::Link(target) => target.len() as u64,
        }
    }

    /// What it is charged.
    pub(super) fn price(&self) -> u64 {
        NODE + match &self.body {
            Body::File(pages) => Pages::price(pages.len()),
            Body::Dir(_) => 0,
            Body::Link(target) => target.len() as u64,
        }
    }
}
