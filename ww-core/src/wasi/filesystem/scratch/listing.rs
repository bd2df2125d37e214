use std::ops::Bound;

use super::Open;
use crate::wasi::wit::filesystem::types::DirectoryEntry;

/// The entries of a directory, read one by one in the order of their names.
///
/// It keeps no copy of the names, only the one it has come to: what is in the
/// directory all the while is told once, whatever comes and goes.
pub(in super::super) struct Entries {
    dir: Open,
    last: Option<Box<str>>,
}

impl Entries {
    pub(super) fn new(dir: Open) -> Self {
        Self { dir, last: None }
    }
}

impl Iterator for Entries {
    type Item = DirectoryEntry;

    fn next(&mut self) -> Option<DirectoryEntry> {
        let tree = self.dir.scratch.lock();
        let names = &tree.get(self.dir.number).ok()?.dir().ok()?.names;
        let from = match &self.last {
            Some(last) => Bound::Excluded(&**last),
            None => Bound::Unbounded,
        };
        let mut rest = names.range::<str, _>((from, Bound::Unbounded));
        let (name, number) = rest.next()?;
        let entry = DirectoryEntry {
            type_: tree.get(*number).ok()?.kind(),
            name: name.to_string(),
        };
        self.last = Some(name.clone());
        Some(entry)
    }
}
