use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::super::check_offset;
use super::super::times::Times;
use super::node::Body;
use super::tree::{Number, Tree};
use super::{Entries, Scratch};
use crate::wasi::CHUNK;
use crate::wasi::wit::clocks::wall_clock::Datetime;
use crate::wasi::wit::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, MetadataHashValue, OpenFlags,
};

/// An open file or directory. Never dropped while its tree is locked.
pub(in super::super) struct Open {
    pub(super) scratch: Scratch,
    pub(super) number: Number,
    is_dir: bool,
    reads: bool,
    writes: bool,
}

impl Open {
    pub(super) fn root(scratch: Scratch) -> Self {
        let mut tree = scratch.lock();
        if let Ok(root) = tree.get_mut(Tree::ROOT) {
            root.opens += 1;
        }
        drop(tree);
        Self {
            scratch,
            number: Tree::ROOT,
            is_dir: true,
            reads: true,
            writes: false,
        }
    }

    /// Opens what stands at `path`, or makes a file there where `how` says so.
    pub(in super::super) fn open_at(
        &self,
        path: &str,
        follow: bool,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Self, ErrorCode> {
        let writes = flags.contains(DescriptorFlags::WRITE);
        let mut tree = self.scratch.lock();
        let number = tree.open(self.number, path, follow, how, writes)?;
        let node = tree.get_mut(number)?;
        node.opens += 1;
        Ok(Self {
            scratch: self.scratch.clone(),
            number,
            is_dir: node.is_dir(),
            // Without either flag a file can be read, as with Wasmtime.
            reads: flags.contains(DescriptorFlags::READ) || !writes,
            writes,
        })
    }

    /// The directory, to resolve paths from.
    pub(in super::super) fn dir(&self) -> Result<&Self, ErrorCode> {
        match self.is_dir {
            true => Ok(self),
            false => Err(ErrorCode::NotDirectory),
        }
    }

    pub(in super::super) fn file(&self) -> Result<&Self, ErrorCode> {
        match self.is_dir {
            true => Err(ErrorCode::BadDescriptor),
            false => Ok(self),
        }
    }

    /// A file that was opened to be read.
    pub(in super::super) fn readable(&self) -> Result<&Self, ErrorCode> {
        match self.file()?.reads {
            true => Ok(self),
            false => Err(ErrorCode::BadDescriptor),
        }
    }

    /// A file that was opened to be written.
    pub(in super::super) fn writable(&self) -> Result<&Self, ErrorCode> {
        match self.file()?.writes {
            true => Ok(self),
            false => Err(ErrorCode::BadDescriptor),
        }
    }

    pub(in super::super) fn is_same(&self, other: &Self) -> bool {
        self.scratch.is(&other.scratch) && self.number == other.number
    }

    /// Directories may be changed however they were opened, as with Wasmtime.
    pub(in super::super) fn flags(&self) -> DescriptorFlags {
        let (read, write) = (DescriptorFlags::READ, DescriptorFlags::WRITE);
        match (self.is_dir, self.reads, self.writes) {
            (true, ..) => read | DescriptorFlags::MUTATE_DIRECTORY,
            (false, true, true) => read | write,
            (false, true, false) => read,
            (false, false, _) => write,
        }
    }

    pub(in super::super) fn kind(&self) -> DescriptorType {
        match self.is_dir {
            true => DescriptorType::Directory,
            false => DescriptorType::RegularFile,
        }
    }

    /// Up to `len` bytes from `offset`, and whether that is the end.
    pub(in super::super) fn read(
        &self,
        len: u64,
        offset: u64,
    ) -> Result<(Vec<u8>, bool), ErrorCode> {
        let len = len.min(CHUNK as u64) as usize;
        let tree = self.readable()?.scratch.lock();
        check_offset(offset)?;
        let bytes = tree.get(self.number)?.file()?.read(offset, len);
        let at_end = bytes.is_empty();
        Ok((bytes, at_end))
    }

    /// Writes all of `bytes` or nothing, and answers how many: of what is cut, not
    /// every guest writes the rest.
    pub(in super::super) fn write(&self, bytes: &[u8], offset: u64) -> Result<u64, ErrorCode> {
        let mut tree = self.writable()?.scratch.lock();
        tree.write(self.number, offset, bytes)?;
        Ok(bytes.len() as u64)
    }

    /// Writes behind the last byte.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(), ErrorCode> {
        let mut tree = self.writable()?.scratch.lock();
        let end = tree.get(self.number)?.size();
        tree.write(self.number, end, bytes)
    }

    pub(in super::super) fn set_size(&self, size: u64) -> Result<(), ErrorCode> {
        match self.file()?.writes {
            true => self.scratch.lock().resize(self.number, size),
            false => Err(ErrorCode::Invalid),
        }
    }

    pub(in super::super) fn set_times(&self, times: Times) -> Result<(), ErrorCode> {
        self.scratch.lock().set_times(self.number, times)
    }

    pub(in super::super) fn set_times_at(
        &self,
        path: &str,
        follow: bool,
        times: Times,
    ) -> Result<(), ErrorCode> {
        let mut tree = self.scratch.lock();
        let (number, _) = tree.find(self.number, path, follow)?;
        tree.set_times(number, times)
    }

    pub(in super::super) fn stat(&self) -> Result<DescriptorStat, ErrorCode> {
        stat(&self.scratch.lock(), self.number)
    }

    pub(in super::super) fn stat_at(
        &self,
        path: &str,
        follow: bool,
    ) -> Result<DescriptorStat, ErrorCode> {
        let tree = self.scratch.lock();
        let (number, _) = tree.find(self.number, path, follow)?;
        stat(&tree, number)
    }

    pub(in super::super) fn hash(&self) -> MetadataHashValue {
        self.hash_of(self.number)
    }

    pub(in super::super) fn hash_at(
        &self,
        path: &str,
        follow: bool,
    ) -> Result<MetadataHashValue, ErrorCode> {
        let (number, _) = self.scratch.lock().find(self.number, path, follow)?;
        Ok(self.hash_of(number))
    }

    pub(in super::super) fn readlink_at(&self, path: &str) -> Result<String, ErrorCode> {
        let tree = self.scratch.lock();
        let (_, node) = tree.find(self.number, path, false)?;
        match &node.body {
            Body::Link(target) => Ok(target.to_string()),
            _ => Err(ErrorCode::Invalid),
        }
    }

    pub(in super::super) fn create_directory_at(&self, path: &str) -> Result<(), ErrorCode> {
        self.scratch.lock().create_directory(self.number, path)
    }

    pub(in super::super) fn symlink_at(&self, target: &str, path: &str) -> Result<(), ErrorCode> {
        self.scratch.lock().symlink(self.number, target, path)
    }

    pub(in super::super) fn unlink_file_at(&self, path: &str) -> Result<(), ErrorCode> {
        self.scratch.lock().unlink_file(self.number, path)
    }

    pub(in super::super) fn remove_directory_at(&self, path: &str) -> Result<(), ErrorCode> {
        self.scratch.lock().remove_directory(self.number, path)
    }

    pub(in super::super) fn link_at(
        &self,
        path: &str,
        new: &Self,
        new_path: &str,
    ) -> Result<(), ErrorCode> {
        let mut tree = self.beside(new)?.lock();
        tree.link((self.number, path), (new.number, new_path))
    }

    pub(in super::super) fn rename_at(
        &self,
        path: &str,
        new: &Self,
        new_path: &str,
    ) -> Result<(), ErrorCode> {
        let mut tree = self.beside(new)?.lock();
        tree.rename_at((self.number, path), (new.number, new_path))
    }

    pub(in super::super) fn read_directory(self) -> Entries {
        Entries::new(self)
    }

    /// One more handle on the same.
    pub(in super::super) fn again(&self) -> Self {
        if let Ok(node) = self.scratch.lock().get_mut(self.number) {
            node.opens += 1;
        }
        Self {
            scratch: self.scratch.clone(),
            ..*self
        }
    }

    /// The scratch that both are in.
    fn beside(&self, other: &Self) -> Result<&Scratch, ErrorCode> {
        match self.scratch.is(&other.scratch) {
            true => Ok(&self.scratch),
            false => Err(ErrorCode::CrossDevice),
        }
    }

    /// Different for every node that this scratch ever had, and the same for
    /// one node for ever.
    fn hash_of(&self, number: Number) -> MetadataHashValue {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, "scratch", self.scratch.id, number).hash(&mut hasher);
            hasher.finish()
        };
        MetadataHashValue {
            lower: half(0),
            upper: half(1),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut tree = self.scratch.lock();
        if let Ok(node) = tree.get_mut(self.number) {
            node.opens -= 1;
        }
        tree.forget(self.number);
    }
}

fn stat(tree: &Tree, number: Number) -> Result<DescriptorStat, ErrorCode> {
    let node = tree.get(number)?;
    let time = |since: Duration| {
        Some(Datetime {
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
        })
    };
    Ok(DescriptorStat {
        type_: node.kind(),
        link_count: node.links,
        size: node.size(),
        data_access_timestamp: time(node.accessed),
        data_modification_timestamp: time(node.modified),
        status_change_timestamp: time(node.changed),
    })
}
