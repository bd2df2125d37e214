use std::vec;

use wasmtime::component::Resource;
use ww_image::{Entry, Kind};

use super::Failure;
use super::scratch::Entries;
use crate::wasi::Host;
use crate::wasi::wit::filesystem::types::{
    DescriptorType, DirectoryEntry, HostDirectoryEntryStream,
};

/// The entries of a directory that are still to be read.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub enum Listing {
    Image(vec::IntoIter<Entry>),
    #[allow(private_interfaces, reason = "only the host looks into a listing")]
    Scratch(Entries),
}

impl HostDirectoryEntryStream for Host<'_> {
    fn read_directory_entry(
        &mut self,
        listing: Resource<Listing>,
    ) -> Result<Option<DirectoryEntry>, Failure> {
        Ok(match self.table.get_mut(&listing)? {
            Listing::Image(entries) => entries.next().map(entry),
            Listing::Scratch(entries) => entries.next(),
        })
    }

    fn drop(&mut self, listing: Resource<Listing>) -> wasmtime::Result<()> {
        self.table.delete(listing)?;
        Ok(())
    }
}

fn entry(entry: Entry) -> DirectoryEntry {
    DirectoryEntry {
        type_: match entry.kind {
            Kind::File => DescriptorType::RegularFile,
            Kind::Dir => DescriptorType::Directory,
            Kind::Link => DescriptorType::SymbolicLink,
            _ => DescriptorType::Unknown,
        },
        name: entry.name,
    }
}
