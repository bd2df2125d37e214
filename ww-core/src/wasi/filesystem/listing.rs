use futures::StreamExt;
use futures::stream::BoxStream;
use wasmtime::component::Resource;
use ww_loader::{Entry, Kind};

use super::{Failure, code};
use crate::wasi::Host;
use crate::wasi::wit::filesystem::types::{
    DescriptorType, DirectoryEntry, HostDirectoryEntryStream,
};

/// The entries of a directory that are still to be read.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub struct Listing(pub(super) BoxStream<'static, Result<Entry, ww_loader::Error>>);

impl HostDirectoryEntryStream for Host<'_> {
    async fn read_directory_entry(
        &mut self,
        listing: Resource<Listing>,
    ) -> Result<Option<DirectoryEntry>, Failure> {
        match self.table.get_mut(&listing)?.0.next().await {
            None => Ok(None),
            Some(Err(error)) => Err(code(&error).into()),
            Some(Ok(entry)) => Ok(Some(DirectoryEntry {
                type_: match entry.kind {
                    Kind::File => DescriptorType::RegularFile,
                    Kind::Dir => DescriptorType::Directory,
                    Kind::Link => DescriptorType::SymbolicLink,
                    _ => DescriptorType::Unknown,
                },
                name: entry.name,
            })),
        }
    }

    fn drop(&mut self, listing: Resource<Listing>) -> wasmtime::Result<()> {
        self.table.delete(listing)?;
        Ok(())
    }
}
