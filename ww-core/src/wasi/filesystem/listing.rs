use std::collections::HashMap;
use std::sync::{Arc, Weak};

use wasmtime::component::Resource;
use ww_image::{Entry, Kind, Path};

use super::Failure;
use super::scratch::Entries;
use crate::wasi::Host;
use crate::wasi::wit::filesystem::types::{
    DescriptorType, DirectoryEntry, ErrorCode, HostDirectoryEntryStream,
};

/// The entries of a directory that are still to be read.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub enum Listing {
    #[allow(private_interfaces, reason = "only the host looks into a listing")]
    Image(Names, usize),
    #[allow(private_interfaces, reason = "only the host looks into a listing")]
    Scratch(Entries),
}

/// What is in one directory of an image.
pub(super) type Names = Arc<[Name]>;

type Name = (String, DescriptorType);

/// Bytes that the open listings of a cell may take together: a quarter of a million
/// names, and more of short ones.
const MOST: usize = 32 << 20;

/// What the open listings of images hold, by mount and path: once for each
/// directory, however often a guest opens it, and its bytes.
#[derive(Debug, Default)]
pub(in super::super) struct Listings(HashMap<(usize, Path), Known>);

/// As long as it is open, and its bytes.
type Known = (Weak<[Name]>, usize);

impl Listings {
    pub(super) fn find(&self, mount: usize, path: &Path) -> Option<Names> {
        let (names, _) = self.0.get(&(mount, path.clone()))?;
        names.upgrade()
    }

    /// # Errors
    ///
    /// `insufficient-memory`, where the open ones would take too much.
    pub(super) fn keep(
        &mut self,
        mount: usize,
        path: Path,
        entries: Vec<Entry>,
    ) -> Result<Names, ErrorCode> {
        self.0.retain(|_, (names, _)| names.strong_count() > 0);
        let open: usize = self.0.values().map(|(_, bytes)| bytes).sum();
        let bytes = entries.iter().map(size).sum();
        if open.saturating_add(bytes) > MOST {
            return Err(ErrorCode::InsufficientMemory);
        }
        let names: Names = entries.into_iter().map(named).collect();
        self.0
            .insert((mount, path), (Arc::downgrade(&names), bytes));
        Ok(names)
    }
}

impl HostDirectoryEntryStream for Host<'_> {
    fn read_directory_entry(
        &mut self,
        listing: Resource<Listing>,
    ) -> Result<Option<DirectoryEntry>, Failure> {
        Ok(match self.table.get_mut(&listing)? {
            Listing::Image(names, next) => {
                let entry = names.get(*next).cloned();
                *next += usize::from(entry.is_some());
                entry.map(|(name, type_)| DirectoryEntry { type_, name })
            }
            Listing::Scratch(entries) => entries.next(),
        })
    }

    fn drop(&mut self, listing: Resource<Listing>) -> wasmtime::Result<()> {
        self.table.delete(listing)?;
        Ok(())
    }
}

/// Bytes that it takes.
fn size(entry: &Entry) -> usize {
    size_of::<Name>() + entry.name.len()
}

fn named(entry: Entry) -> Name {
    let kind = match entry.kind {
        Kind::File => DescriptorType::RegularFile,
        Kind::Dir => DescriptorType::Directory,
        Kind::Link => DescriptorType::SymbolicLink,
        _ => DescriptorType::Unknown,
    };
    (entry.name, kind)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use ww_image::Image;
    use ww_loader::Memory;

    use super::*;

    #[test]
    fn listings_of_one_directory_are_one_while_any_is_open() {
        let tree = Memory::files([("a/b", "b"), ("a/c", "c")]).expect("these are paths");
        let (image, path) = (Image::from(tree), Path::new("a").expect("a path"));
        let entries = || block_on(image.read_dir(&path)).expect("it is there");
        let mut listings = Listings::default();
        let names = listings.keep(0, path.clone(), entries()).expect("they fit");
        let found = listings.find(0, &path).expect("it is open");
        assert!(Arc::ptr_eq(&names, &found) && names.len() == 2);
        assert!(listings.find(1, &path).is_none());
        drop((names, found));
        assert!(listings.find(0, &path).is_none());
        drop(listings.keep(1, path.clone(), entries()));
        assert_eq!(listings.0.len(), 1);
    }

    #[test]
    fn listings_that_are_open_take_so_much_together_and_no_more() {
        let name = "n".repeat(200);
        let entry = Entry {
            name,
            kind: Kind::File,
            layers: Vec::new(),
        };
        let third = vec![entry.clone(); MOST / 3 / size(&entry)];
        let mut listings = Listings::default();
        let mut keep = |mount| listings.keep(mount, Path::root(), third.clone());
        let mut open: Vec<_> = (0..3).map(&mut keep).collect();
        assert!(open.iter().all(Result::is_ok));
        assert_eq!(
            keep(3).map(|names| names.len()),
            Err(ErrorCode::InsufficientMemory)
        );
        open.pop();
        assert!(keep(3).is_ok());
    }
}
