use std::sync::Arc;

use ww_image::{Image, Path};

use super::Descriptor;
use super::scratch::{Budget, Scratch};
use crate::cell::Shared;
use crate::clock::Clock;
use crate::error::Error;

/// A preopened directory, as the builder was told of it.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// Where the guest finds it: absolute and normalised.
    pub(crate) path: String,
    pub(crate) source: Source,
}

#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Read only.
    Image(Image),
    /// Empty at first, and gone with the cell.
    Scratch,
}

impl Mount {
    /// `image` at `/`, where there is one, and `others`.
    ///
    /// # Errors
    ///
    /// [`Error::Mount`] if a path is not what [`Mount::path`] says, or taken.
    pub(crate) fn all(image: Option<&Image>, others: Vec<Self>) -> Result<Vec<Self>, Error> {
        let root = image.map(|image| Self {
            path: "/".into(),
            source: Source::Image(image.clone()),
        });
        let mut mounts = Vec::from_iter(root);
        for mount in others {
            if let Some(reason) = fault(&mount.path, &mounts) {
                let path = mount.path;
                return Err(Error::Mount { path, reason });
            }
            mounts.push(mount);
        }
        Ok(mounts)
    }
}

/// A preopened directory of a cell.
pub(in super::super) enum Mounted {
    Image { path: String, image: Image },
    Scratch { path: String, scratch: Scratch },
}

impl Mounted {
    /// Those of `cell`, for which its scratch directories count.
    pub(in super::super) fn all(
        mounts: Vec<Mount>,
        cell: &Arc<Shared>,
        clock: &Arc<dyn Clock>,
    ) -> Vec<Self> {
        let mounted = mounts.into_iter().enumerate().map(|(number, mount)| {
            let path = mount.path;
            match mount.source {
                Source::Image(image) => Self::Image { path, image },
                Source::Scratch => {
                    let scratch = Scratch::new(number, Budget::new(cell.clone()), clock.clone());
                    Self::Scratch { path, scratch }
                }
            }
        });
        mounted.collect()
    }

    pub(in super::super) fn path(&self) -> &str {
        match self {
            Self::Image { path, .. } | Self::Scratch { path, .. } => path,
        }
    }

    /// Opens the directory as mount `number`.
    pub(super) fn open(&self, number: usize) -> Descriptor {
        match self {
            Self::Image { .. } => Descriptor::Dir(number, Path::root()),
            Self::Scratch { scratch, .. } => Descriptor::Scratch(scratch.root()),
        }
    }
}

/// What is wrong with `path` as a place to mount at, beside `others`.
fn fault(path: &str, others: &[Mount]) -> Option<&'static str> {
    let Some(names) = path.strip_prefix('/') else {
        return Some("is not absolute");
    };
    let any = |what: &[&str]| names.split('/').any(|name| what.contains(&name));
    if any(&[".."]) {
        Some("holds `..`")
    } else if !names.is_empty() && any(&["", "."]) {
        Some("is not normalised")
    } else if Path::new(names).is_err() {
        Some("is too long or holds a NUL")
    } else if others.iter().any(|other| other.path == path) {
        Some("is taken")
    } else {
        None
    }
}
