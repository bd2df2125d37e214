use std::collections::HashMap;
use std::sync::{Arc, Weak};

use wasmtime::component::Resource;
use ww_image::{Entry, Image, Kind, Path};

use super::scratch::Entries;
use super::{Failure, code};
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
    /// Those of the directory at `path` of `image`, which is mount `mount`. While they
    /// are read they take no more than is left: a guest makes one call at a time.
    ///
    /// # Errors
    ///
    /// `insufficient-memory`, where the open ones would take too much; otherwise what
    /// reading gives.
    pub(super) async fn open(
        &mut self,
        image: &Image,
        mount: usize,
        path: Path,
    ) -> Result<Names, ErrorCode> {
        if let Some(names) = self.find(mount, &path) {
            return Ok(names);
        }
        self.0.retain(|_, (names, _)| names.strong_count() > 0);
        let open: usize = self.0.values().map(|(_, bytes)| bytes).sum();
        let entries = image.read_dir_within(&path, MOST.saturating_sub(open));
        let entries = entries.await.map_err(|error| code(&error))?;
        // No entry takes more than it did while it was read.
        let bytes = entries.iter().map(size).sum();
        let names: Names = entries.into_iter().map(named).collect();
        self.0
            .insert((mount, path), (Arc::downgrade(&names), bytes));
        Ok(names)
    }

    fn find(&self, mount: usize, path: &Path) -> Option<Names> {
        let (names, _) = self.0.get(&(mount, path.clone()))?;
        names.upgrade()
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::StreamExt;
    use futures::stream;
    use futures_lite::future::block_on;
    use ww_image::Layer;
    use ww_loader::{Loader, Memory, Node, async_trait};

    use super::*;

    #[test]
    fn listings_of_one_directory_are_one_while_any_is_open() {
        let tree = Memory::files([("a/b", "b"), ("a/c", "c")]).expect("these are paths");
        let (image, path) = (Image::from(tree), Path::new("a").expect("a path"));
        let mut listings = Listings::default();
        let open = |listings: &mut Listings, mount| {
            block_on(listings.open(&image, mount, path.clone())).expect("they fit")
        };
        let names = open(&mut listings, 0);
        let found = open(&mut listings, 0);
        assert!(Arc::ptr_eq(&names, &found) && names.len() == 2);
        assert!(listings.find(1, &path).is_none());
        drop((names, found));
        assert!(listings.find(0, &path).is_none());
        drop(open(&mut listings, 1));
        assert_eq!(listings.0.len(), 1);
    }

    #[test]
    fn listings_that_are_open_take_so_much_together_and_no_more() {
        let quarter = MOST / 4 / (size_of::<Name>() + 200);
        let files = (0..quarter).map(|number| (format!("{number:0200}"), ""));
        let image = Image::from(Memory::files(files).expect("these are paths"));
        let mut listings = Listings::default();
        // To read them takes more than to keep them, so a fourth does not fit.
        let mut open = |mount| block_on(listings.open(&image, mount, Path::root()));
        let mut held: Vec<_> = (0..3).map(&mut open).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(
            open(3).map(|names| names.len()),
            Err(ErrorCode::InsufficientMemory)
        );
        held.pop();
        assert!(open(3).is_ok());
    }

    /// A directory without end, which counts the names that were asked for.
    #[derive(Clone, Default)]
    struct Endless(Arc<AtomicUsize>);

    #[async_trait]
    impl Loader for Endless {
        async fn open(&self, _: &Path) -> Result<Node, ww_loader::Error> {
            let asked = self.0.clone();
            let names = stream::iter(0..).map(move |number| {
                let bytes = 250 * asked.fetch_add(1, Ordering::Relaxed);
                assert!(bytes <= MOST, "more is asked for than may be kept");
                let (name, kind) = (format!("{number:0250}"), Kind::File);
                Ok(ww_loader::Entry { name, kind })
            });
            Ok(Node::Dir(names.boxed()))
        }
    }

    #[test]
    fn no_more_is_read_of_a_directory_than_may_be_kept_of_it() {
        let endless = Endless::default();
        let image = Image::from(Layer::new("endless", endless.clone()));
        let mut listings = Listings::default();
        let opened = block_on(listings.open(&image, 0, Path::root()));
        assert_eq!(
            opened.map(|names| names.len()),
            Err(ErrorCode::InsufficientMemory)
        );
        assert!(endless.0.load(Ordering::Relaxed) > 0);
    }
}
