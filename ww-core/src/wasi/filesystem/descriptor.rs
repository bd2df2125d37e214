use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};
use ww_image::Node;

use super::resolve::resolve;
use super::stat::{hash_node, link, stat_node};
use super::stream::{FileStream, ReadFailed};
use super::{Descriptor, Failure, Listing, code};
use crate::wasi::wit::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, Host as HostTypes,
    HostDescriptor, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use crate::wasi::{CHUNK, Host};

impl Host<'_> {
    async fn node(
        &mut self,
        dir: &Resource<Descriptor>,
        flags: PathFlags,
        path: &str,
    ) -> Result<Node, Failure> {
        let base = self.table.get(dir)?.dir()?;
        let follow = flags.contains(PathFlags::SYMLINK_FOLLOW);
        Ok(resolve(&self.image()?, base, path, follow).await?)
    }

    /// Refuses what would change `handle`, which must be a handle at least.
    fn read_only<T>(&self, handle: &Resource<Descriptor>) -> Result<T, Failure> {
        self.table.get(handle)?;
        Err(ErrorCode::ReadOnly.into())
    }

    /// Refuses what would change the directory `handle`.
    fn read_only_dir<T>(&self, handle: &Resource<Descriptor>) -> Result<T, Failure> {
        self.table.get(handle)?.dir()?;
        Err(ErrorCode::ReadOnly.into())
    }
}

impl HostTypes for Host<'_> {
    fn convert_error_code(&mut self, failure: Failure) -> wasmtime::Result<ErrorCode> {
        match failure {
            Failure::Code(code) => Ok(code),
            Failure::Trap(error) => Err(error),
        }
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<ReadFailed>().map(|failed| failed.code))
    }
}

impl HostDescriptor for Host<'_> {
    fn read_via_stream(
        &mut self,
        handle: Resource<Descriptor>,
        offset: u64,
    ) -> Result<Resource<DynInputStream>, Failure> {
        let file = self.table.get(&handle)?.file()?.clone();
        let stream: DynInputStream = Box::new(FileStream::new(file, offset));
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        handle: Resource<Descriptor>,
        _: u64,
    ) -> Result<Resource<DynOutputStream>, Failure> {
        self.read_only(&handle)
    }

    fn append_via_stream(
        &mut self,
        handle: Resource<Descriptor>,
    ) -> Result<Resource<DynOutputStream>, Failure> {
        self.read_only(&handle)
    }

    /// Advice may be ignored.
    fn advise(
        &mut self,
        handle: Resource<Descriptor>,
        _: u64,
        _: u64,
        _: Advice,
    ) -> Result<(), Failure> {
        self.table.get(&handle)?.file()?;
        Ok(())
    }

    /// Nothing is ever out of step with what stands behind it.
    fn sync_data(&mut self, handle: Resource<Descriptor>) -> Result<(), Failure> {
        self.table.get(&handle)?;
        Ok(())
    }

    /// As [`HostDescriptor::sync_data`].
    fn sync(&mut self, handle: Resource<Descriptor>) -> Result<(), Failure> {
        self.sync_data(handle)
    }

    fn get_flags(&mut self, handle: Resource<Descriptor>) -> Result<DescriptorFlags, Failure> {
        self.table.get(&handle)?;
        Ok(DescriptorFlags::READ)
    }

    fn get_type(&mut self, handle: Resource<Descriptor>) -> Result<DescriptorType, Failure> {
        Ok(self.table.get(&handle)?.kind())
    }

    fn set_size(&mut self, handle: Resource<Descriptor>, _: u64) -> Result<(), Failure> {
        self.table.get(&handle)?.file()?;
        self.read_only(&handle)
    }

    fn set_times(
        &mut self,
        handle: Resource<Descriptor>,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> Result<(), Failure> {
        self.read_only(&handle)
    }

    async fn read(
        &mut self,
        handle: Resource<Descriptor>,
        len: u64,
        offset: u64,
    ) -> Result<(Vec<u8>, bool), Failure> {
        let file = self.table.get(&handle)?.file()?;
        let left = file.len().saturating_sub(offset);
        let len = len.min(left).min(CHUNK as u64) as usize;
        if len == 0 {
            return Ok((Vec::new(), true));
        }
        let bytes = file.read_at(offset, len).await;
        let bytes = bytes.map_err(|error| code(&error))?;
        let at_end = bytes.is_empty();
        Ok((bytes.into(), at_end))
    }

    fn write(&mut self, handle: Resource<Descriptor>, _: Vec<u8>, _: u64) -> Result<u64, Failure> {
        self.table.get(&handle)?.file()?;
        self.read_only(&handle)
    }

    async fn read_directory(
        &mut self,
        handle: Resource<Descriptor>,
    ) -> Result<Resource<Listing>, Failure> {
        let path = self.table.get(&handle)?.dir()?;
        let entries = self.image()?.read_dir(path).await;
        let entries = entries.map_err(|error| code(&error))?;
        Ok(self.table.push(Listing(entries.into_iter()))?)
    }

    fn create_directory_at(&mut self, dir: Resource<Descriptor>, _: String) -> Result<(), Failure> {
        self.read_only_dir(&dir)
    }

    fn stat(&mut self, handle: Resource<Descriptor>) -> Result<DescriptorStat, Failure> {
        Ok(self.table.get(&handle)?.stat())
    }

    async fn stat_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> Result<DescriptorStat, Failure> {
        Ok(stat_node(&self.node(&dir, flags, &path).await?))
    }

    fn set_times_at(
        &mut self,
        dir: Resource<Descriptor>,
        _: PathFlags,
        _: String,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> Result<(), Failure> {
        self.read_only_dir(&dir)
    }

    fn link_at(
        &mut self,
        dir: Resource<Descriptor>,
        _: PathFlags,
        _: String,
        new_dir: Resource<Descriptor>,
        _: String,
    ) -> Result<(), Failure> {
        self.table.get(&dir)?.dir()?;
        self.read_only_dir(&new_dir)
    }

    /// Whatever would change the image is `read-only`, as the interface says of
    /// a directory without `mutate-directory`, whether or not the file exists.
    async fn open_at(
        &mut self,
        dir: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Resource<Descriptor>, Failure> {
        let syncs = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        let creates = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE;
        let writes = DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY;
        self.table.get(&dir)?.dir()?;
        if flags.intersects(syncs) {
            return Err(ErrorCode::Unsupported.into());
        }
        if how.contains(OpenFlags::DIRECTORY) && how.intersects(creates) {
            return Err(ErrorCode::Invalid.into());
        }
        if how.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE) || flags.intersects(writes) {
            return Err(ErrorCode::ReadOnly.into());
        }
        let descriptor = match self.node(&dir, path_flags, &path).await? {
            Node::Dir(dir) => Descriptor::Dir(dir.path().clone()),
            Node::File(_) if how.contains(OpenFlags::DIRECTORY) => {
                return Err(ErrorCode::NotDirectory.into());
            }
            Node::File(file) => Descriptor::File(file),
            Node::Link(_) => return Err(ErrorCode::Loop.into()),
            _ => return Err(ErrorCode::Unsupported.into()),
        };
        Ok(self.table.push(descriptor)?)
    }

    async fn readlink_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
    ) -> Result<String, Failure> {
        let node = self.node(&dir, PathFlags::empty(), &path).await?;
        Ok(link(&node).ok_or(ErrorCode::Invalid)?)
    }

    fn remove_directory_at(&mut self, dir: Resource<Descriptor>, _: String) -> Result<(), Failure> {
        self.read_only_dir(&dir)
    }

    fn rename_at(
        &mut self,
        dir: Resource<Descriptor>,
        _: String,
        new_dir: Resource<Descriptor>,
        _: String,
    ) -> Result<(), Failure> {
        self.table.get(&dir)?.dir()?;
        self.read_only_dir(&new_dir)
    }

    fn symlink_at(
        &mut self,
        dir: Resource<Descriptor>,
        _: String,
        _: String,
    ) -> Result<(), Failure> {
        self.read_only_dir(&dir)
    }

    fn unlink_file_at(&mut self, dir: Resource<Descriptor>, _: String) -> Result<(), Failure> {
        self.read_only_dir(&dir)
    }

    fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.get(&one)?.path() == self.table.get(&other)?.path())
    }

    fn metadata_hash(
        &mut self,
        handle: Resource<Descriptor>,
    ) -> Result<MetadataHashValue, Failure> {
        Ok(self.table.get(&handle)?.hash())
    }

    async fn metadata_hash_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> Result<MetadataHashValue, Failure> {
        Ok(hash_node(&self.node(&dir, flags, &path).await?))
    }

    fn drop(&mut self, handle: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
