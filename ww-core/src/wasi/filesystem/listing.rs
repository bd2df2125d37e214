use std::vec;

use wasmtime::component::Resource;
use ww_image::{Entry, Kind};

use super::Failure;
use crate::wasi::Host;
use crate::wasi::wit::filesystem::types::{
    DescriptorType, DirectoryEntry, HostDirectoryEntryStream,
};

/// The entries of a directory that are still to be read.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub struct Listing(pub(super) vec::IntoIter<Entry>);

impl HostDirectoryEntryStream for Host<'_> {
    fn read_directory_entry(
        &mut self,
        listing: Resource<Listing>,
    ) -> Result<Option<DirectoryEntry>, Failure> {
        let entry = self.table.get_mut(&listing)?.0.next();
        Ok(entry.map(|entry| DirectoryEntry {
            type_: match entry.kind {
                Kind::File => DescriptorType::RegularFile,
                Kind::Dir => DescriptorType::Directory,
                Kind::Link => DescriptorType::SymbolicLink,
                _ => DescriptorType::Unknown,
            },
            name: entry.name,
        }))
    }

    fn drop(&mut self, listing: Resource<Listing>) -> wasmtime::Result<()> {
        self.table.delete(listing)?;
        Ok(())
    }
}
