use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};
use ww_image::Node;

use super::resolve::{Found, resolve};
use super::scratch::{Reader, Writer};
use super::stream::FileStream;
use super::times::Times;
use super::{Content, Descriptor, Dir, Failure, Listing, check_offset, code, refusal};
use crate::wasi::wit::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, HostDescriptor,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use crate::wasi::{CHUNK, Host};

impl Host<'_> {
    fn times(&self, accessed: NewTimestamp, modified: NewTimestamp) -> Result<Times, ErrorCode> {
        Times::new(self.wasi.setup.clock.wall(), accessed, modified)
    }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

impl HostDescriptor for Host<'_> {
    /// A directory is `is-directory` here, and `bad-descriptor` wherever else a
    /// file is wanted, as with Wasmtime.
    fn read_via_stream(
        &mut self,
        handle: Resource<Descriptor>,
        offset: u64,
    ) -> Result<Resource<DynInputStream>, Failure> {
        let file = self.table.get(&handle)?.file();
        let stream: DynInputStream = match file.map_err(|_| ErrorCode::IsDirectory)? {
            Content::Image(file) => {
                let reads = self.wasi.reads.clone();
                Box::new(FileStream::new(file.clone(), offset, reads))
            }
            Content::Scratch(open) => Box::new(Reader::new(open.readable()?.again(), offset)),
        };
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        handle: Resource<Descriptor>,
        offset: u64,
    ) -> Result<Resource<DynOutputStream>, Failure> {
        let file = self.table.get(&handle)?.mutable_file()?.writable()?;
        let stream: DynOutputStream = Box::new(Writer::at(file.again(), offset));
        Ok(self.table.push(stream)?)
    }

    fn append_via_stream(
        &mut self,
        handle: Resource<Descriptor>,
    ) -> Result<Resource<DynOutputStream>, Failure> {
        let file = self.table.get(&handle)?.mutable_file()?.writable()?;
        let stream: DynOutputStream = Box::new(Writer::append(file.again()));
        Ok(self.table.push(stream)?)
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
        Ok(match self.table.get(&handle)? {
            Descriptor::File(..) | Descriptor::Dir(..) => DescriptorFlags::READ,
            Descriptor::Scratch(open) => open.flags(),
        })
    }

    fn get_type(&mut self, handle: Resource<Descriptor>) -> Result<DescriptorType, Failure> {
        Ok(self.table.get(&handle)?.kind())
    }

    fn set_size(&mut self, handle: Resource<Descriptor>, size: u64) -> Result<(), Failure> {
        Ok(self.table.get(&handle)?.mutable_file()?.set_size(size)?)
    }

    fn set_times(
        &mut self,
        handle: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> Result<(), Failure> {
        let descriptor = self.table.get(&handle)?;
        let times = self.times(accessed, modified)?;
        Ok(descriptor.mutable()?.set_times(times)?)
    }

    async fn read(
        &mut self,
        handle: Resource<Descriptor>,
        len: u64,
        offset: u64,
    ) -> Result<(Vec<u8>, bool), Failure> {
        let file = match self.table.get(&handle)?.file()? {
            Content::Image(file) => file,
            Content::Scratch(open) => return Ok(open.read(len, offset)?),
        };
        check_offset(offset)?;
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

    fn write(
        &mut self,
        handle: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: u64,
    ) -> Result<u64, Failure> {
        let file = self.table.get(&handle)?.mutable_file()?;
        Ok(file.write(&bytes, offset)?)
    }

    async fn read_directory(
        &mut self,
        handle: Resource<Descriptor>,
    ) -> Result<Resource<Listing>, Failure> {
        let (mount, path) = match self.table.get(&handle)?.dir()? {
            Dir::Image(mount, path) => (mount, path.clone()),
            Dir::Scratch(open) => {
                let listing = Listing::Scratch(open.again().read_directory());
                return Ok(self.table.push(listing)?);
            }
        };
        let image = self.image(mount)?;
        let names = self.wasi.listings.open(&image, mount, path).await?;
        Ok(self.table.push(Listing::Image(names, 0))?)
    }

    async fn create_directory_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
    ) -> Result<(), Failure> {
        match self.table.get(&dir)?.dir()? {
            Dir::Scratch(dir) => Ok(dir.create_directory_at(&path)?),
            Dir::Image(mount, base) => refusal::make(&self.image(mount)?, base, &path).await,
        }
    }

    fn stat(&mut self, handle: Resource<Descriptor>) -> Result<DescriptorStat, Failure> {
        Ok(self.table.get(&handle)?.stat()?)
    }

    async fn stat_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> Result<DescriptorStat, Failure> {
        Ok(match self.table.get(&dir)?.dir()? {
            Dir::Scratch(dir) => dir.stat_at(&path, follows(flags))?,
            Dir::Image(mount, base) => {
                let image = self.image(mount)?;
                let found = resolve(&image, base, &path, follows(flags)).await?;
                found.stat()
            }
        })
    }

    async fn set_times_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> Result<(), Failure> {
        let dir = self.table.get(&dir)?.dir()?;
        let times = self.times(accessed, modified)?;
        let follow = follows(flags);
        match dir {
            Dir::Scratch(dir) => Ok(dir.set_times_at(&path, follow, times)?),
            Dir::Image(mount, base) => {
                refusal::change(&self.image(mount)?, base, &path, follow).await
            }
        }
    }

    /// A link to follow is `invalid`, as with Wasmtime. What leads from one file
    /// system to another is `cross-device`.
    async fn link_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        new_dir: Resource<Descriptor>,
        new_path: String,
    ) -> Result<(), Failure> {
        let (dir, new_dir) = (
            self.table.get(&dir)?.dir()?,
            self.table.get(&new_dir)?.dir()?,
        );
        if follows(flags) {
            return Err(ErrorCode::Invalid.into());
        }
        match (dir, new_dir) {
            (Dir::Scratch(dir), Dir::Scratch(new_dir)) => {
                Ok(dir.link_at(&path, new_dir, &new_path)?)
            }
            (Dir::Image(mount, base), Dir::Image(..)) => {
                refusal::change(&self.image(mount)?, base, &path, false).await
            }
            _ => Err(ErrorCode::CrossDevice.into()),
        }
    }

    /// Whatever would change an image is `read-only`, as the interface says here of a
    /// directory without `mutate-directory`, whether or not the file exists.
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
        let base = self.table.get(&dir)?.dir()?;
        if flags.intersects(syncs) {
            return Err(ErrorCode::Unsupported.into());
        }
        if how.contains(OpenFlags::DIRECTORY) && how.intersects(creates) {
            return Err(ErrorCode::Invalid.into());
        }
        let (mount, base) = match base {
            Dir::Image(mount, base) => (mount, base),
            Dir::Scratch(dir) => {
                let open = dir.open_at(&path, follows(path_flags), how, flags)?;
                return Ok(self.table.push(Descriptor::Scratch(open))?);
            }
        };
        if how.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE) || flags.intersects(writes) {
            return Err(ErrorCode::ReadOnly.into());
        }
        let image = self.image(mount)?;
        let found = resolve(&image, base, &path, follows(path_flags)).await?;
        let descriptor = match found {
            Found::Node(Node::Dir(dir)) => Descriptor::Dir(mount, dir.path().clone()),
            Found::Node(Node::File(_)) if how.contains(OpenFlags::DIRECTORY) => {
                return Err(ErrorCode::NotDirectory.into());
            }
            Found::Node(Node::File(file)) => Descriptor::File(mount, file),
            Found::Node(Node::Link(_)) | Found::Astray(_) => return Err(ErrorCode::Loop.into()),
            Found::Node(_) => return Err(ErrorCode::Unsupported.into()),
        };
        Ok(self.table.push(descriptor)?)
    }

    async fn readlink_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
    ) -> Result<String, Failure> {
        let (mount, base) = match self.table.get(&dir)?.dir()? {
            Dir::Scratch(dir) => return Ok(dir.readlink_at(&path)?),
            Dir::Image(mount, base) => (mount, base),
        };
        let found = resolve(&self.image(mount)?, base, &path, false).await?;
        Ok(found.link()?)
    }

    async fn remove_directory_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
    ) -> Result<(), Failure> {
        match self.table.get(&dir)?.dir()? {
            Dir::Scratch(dir) => Ok(dir.remove_directory_at(&path)?),
            Dir::Image(mount, base) => {
                refusal::change(&self.image(mount)?, base, &path, false).await
            }
        }
    }

    /// What leads from one file system to another is `cross-device`.
    async fn rename_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
        new_dir: Resource<Descriptor>,
        new_path: String,
    ) -> Result<(), Failure> {
        match (
            self.table.get(&dir)?.dir()?,
            self.table.get(&new_dir)?.dir()?,
        ) {
            (Dir::Scratch(dir), Dir::Scratch(new_dir)) => {
                Ok(dir.rename_at(&path, new_dir, &new_path)?)
            }
            (Dir::Image(mount, base), Dir::Image(..)) => {
                refusal::change(&self.image(mount)?, base, &path, false).await
            }
            _ => Err(ErrorCode::CrossDevice.into()),
        }
    }

    async fn symlink_at(
        &mut self,
        dir: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> Result<(), Failure> {
        match self.table.get(&dir)?.dir()? {
            Dir::Scratch(dir) => Ok(dir.symlink_at(&target, &path)?),
            Dir::Image(mount, base) => refusal::make(&self.image(mount)?, base, &path).await,
        }
    }

    async fn unlink_file_at(
        &mut self,
        dir: Resource<Descriptor>,
        path: String,
    ) -> Result<(), Failure> {
        match self.table.get(&dir)?.dir()? {
            Dir::Scratch(dir) => Ok(dir.unlink_file_at(&path)?),
            Dir::Image(mount, base) => {
                refusal::change(&self.image(mount)?, base, &path, false).await
            }
        }
    }

    fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.get(&one)?.is_same(self.table.get(&other)?))
    }

    fn metadata_hash(
        &mut self,
        handle: Resource<Descriptor>,
    ) -> Result<MetadataHashValue, Failure> {
        Ok(self.table.get(&handle)?.hash()?)
    }

    async fn metadata_hash_at(
        &mut self,
        dir: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> Result<MetadataHashValue, Failure> {
        Ok(match self.table.get(&dir)?.dir()? {
            Dir::Scratch(dir) => dir.hash_at(&path, follows(flags))?,
            Dir::Image(mount, base) => {
                let image = self.image(mount)?;
                let found = resolve(&image, base, &path, follows(flags)).await?;
                found.hash(mount)
            }
        })
    }

    fn drop(&mut self, handle: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
