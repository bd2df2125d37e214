use std::hash::{DefaultHasher, Hash, Hasher};

use ww_image::{Node, Path};

use super::Descriptor;
use super::resolve::Found;
use crate::wasi::wit::filesystem::types::{
    DescriptorStat, DescriptorType, ErrorCode, MetadataHashValue,
};

/// An image has neither times nor hard links.
fn stat(type_: DescriptorType, size: u64) -> DescriptorStat {
    DescriptorStat {
        type_,
        link_count: 1,
        size,
        data_access_timestamp: None,
        data_modification_timestamp: None,
        status_change_timestamp: None,
    }
}

/// Equal for the same object and, since an image does not change, for nothing
/// else but by accident.
fn hash(stat: &DescriptorStat, mount: usize, path: &Path) -> MetadataHashValue {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, stat.type_ as u8, stat.size, mount, path).hash(&mut hasher);
        hasher.finish()
    };
    MetadataHashValue {
        lower: half(0),
        upper: half(1),
    }
}

impl Descriptor {
    pub(super) fn kind(&self) -> DescriptorType {
        match self {
            Self::File(..) => DescriptorType::RegularFile,
            Self::Dir(..) => DescriptorType::Directory,
            Self::Scratch(open) => open.kind(),
        }
    }

    pub(super) fn stat(&self) -> Result<DescriptorStat, ErrorCode> {
        match self {
            Self::File(_, file) => Ok(stat(self.kind(), file.len())),
            Self::Dir(..) => Ok(stat(self.kind(), 0)),
            Self::Scratch(open) => open.stat(),
        }
    }

    pub(super) fn hash(&self) -> Result<MetadataHashValue, ErrorCode> {
        match self {
            Self::File(mount, file) => Ok(hash(&self.stat()?, *mount, file.path())),
            Self::Dir(mount, path) => Ok(hash(&self.stat()?, *mount, path)),
            Self::Scratch(open) => Ok(open.hash()),
        }
    }
}

impl Found {
    pub(super) fn stat(&self) -> DescriptorStat {
        match self {
            Self::Node(Node::File(file)) => stat(DescriptorType::RegularFile, file.len()),
            Self::Node(Node::Dir(_)) => stat(DescriptorType::Directory, 0),
            Self::Node(Node::Link(_)) | Self::Astray(_) => {
                let len = self.link().map_or(0, |text| text.len());
                stat(DescriptorType::SymbolicLink, len as u64)
            }
            Self::Node(_) => stat(DescriptorType::Unknown, 0),
        }
    }

    pub(super) fn hash(&self, mount: usize) -> MetadataHashValue {
        hash(&self.stat(), mount, self.path())
    }

    /// What a link says, read in the directory it stands in. Of one that leads out
    /// of the image that is not told.
    pub(super) fn link(&self) -> Result<String, ErrorCode> {
        match self {
            Self::Node(Node::Link(link)) => Ok(relative(link.path(), link.target())),
            Self::Node(_) => Err(ErrorCode::Invalid),
            Self::Astray(_) => Err(ErrorCode::NotPermitted),
        }
    }
}

/// The way from the directory that `link` stands in to `target`.
fn relative(link: &Path, target: &Path) -> String {
    let from = link.parent().unwrap_or_else(Path::root);
    let shared = from
        .components()
        .zip(target.components())
        .take_while(|(one, other)| one == other)
        .count();
    let up = from.components().skip(shared).map(|_| "..");
    let down = target.components().skip(shared);
    match up.chain(down).collect::<Vec<_>>().join("/") {
        way if way.is_empty() => ".".into(),
        way => way,
    }
}
