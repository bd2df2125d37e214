use std::mem;

use ww_loader::ipld::dag_pb::Link;
use ww_loader::ipld::unixfs::Data;

use super::Root;
use crate::Profile;

/// A part of a file: a chunk of it, or a node above chunks.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) root: Root,
    /// How many bytes of the file it holds.
    pub(crate) len: u64,
}

/// A file's tree while its chunks come in: every chunk is equally far from the
/// root, and no more is held than one unfinished node a level.
pub(crate) struct Balanced {
    profile: Profile,
    /// Unfinished nodes, the lowest first. Each level but the last has a
    /// finished node in the level above it.
    levels: Vec<Vec<Part>>,
}

impl Balanced {
    pub(crate) fn new(profile: Profile) -> Self {
        let levels = vec![Vec::new()];
        Self { profile, levels }
    }

    /// The next chunk of the file.
    pub(crate) fn push(&mut self, chunk: Part) {
        self.put(0, chunk);
    }

    fn put(&mut self, level: usize, mut part: Part) {
        for level in level.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let parts = &mut self.levels[level];
            if parts.len() < self.profile.width() {
                parts.push(part);
                return;
            }
            // A node is finished only when something follows it, because until
            // then it may be the root.
            let full = mem::replace(parts, vec![part]);
            part = self.profile.file(&full);
        }
    }

    /// The whole file. At least one chunk, if an empty one, has come in.
    pub(crate) fn finish(mut self) -> Part {
        let mut level = 0;
        loop {
            let mut parts = mem::take(&mut self.levels[level]);
            level += 1;
            let is_top = level == self.levels.len();
            let node = match parts.len() {
                1 if is_top => parts.remove(0),
                _ => self.profile.file(&parts),
            };
            if is_top {
                return node;
            }
            self.put(level, node);
        }
    }
}

impl Profile {
    fn file(self, parts: &[Part]) -> Part {
        let links = parts.iter().map(|part| {
            let Root { cid, size } = part.root.clone();
            Link::new("", cid, size)
        });
        let lens: Vec<_> = parts.iter().map(|part| part.len).collect();
        let len = lens.iter().sum();
        let root = self.node(links.collect(), &Data::file(None, lens));
        Part { root, len }
    }
}
