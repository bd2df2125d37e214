//! What makes, moves and removes names.

use super::dir::Dir;
use super::node::Body;
use super::pages::Pages;
use super::tree::{DEEPEST, Number, Tree};
use super::walk::{Last, Named, Place};
use crate::wasi::wit::filesystem::types::{ErrorCode, OpenFlags};

/// The longest target of a symbolic link, in bytes.
const LONGEST_TARGET: usize = 4096;

impl Tree {
    /// Finds or makes what `open-at` is to open. `writes` is whether the file
    /// is to be written.
    pub(super) fn open(
        &mut self,
        base: Number,
        path: &str,
        follow: bool,
        how: OpenFlags,
        writes: bool,
    ) -> Result<Number, ErrorCode> {
        let creates = how.contains(OpenFlags::CREATE);
        let exclusive = creates && how.contains(OpenFlags::EXCLUSIVE);
        let changes = creates || writes || how.contains(OpenFlags::TRUNCATE);
        // What is made is what the path names.
        let last = match follow {
            _ if exclusive || creates && path.ends_with('/') => Last::Name,
            true => Last::Follow,
            false => Last::Keep,
        };
        let (number, slash) = match self.walk(base, path, last)? {
            Place::Unnamed(dir) => (dir, false),
            Place::Named(named) if named.slash && creates => return Err(ErrorCode::IsDirectory),
            Place::Named(named) => match named.found {
                Some(number) => (number, named.slash),
                None if !creates => return Err(ErrorCode::NoEntry),
                None => return self.make(named.dir, named.name, Body::File(Pages::default())),
            },
        };
        if exclusive {
            return Err(ErrorCode::Exist);
        }
        match &self.get(number)?.body {
            Body::Dir(_) if changes => Err(ErrorCode::IsDirectory),
            Body::Dir(_) => Ok(number),
            Body::Link(_) => Err(ErrorCode::Loop),
            Body::File(_) => {
                if slash || how.contains(OpenFlags::DIRECTORY) {
                    return Err(ErrorCode::NotDirectory);
                }
                if how.contains(OpenFlags::TRUNCATE) {
                    self.resize(number, 0)?;
                }
                Ok(number)
            }
        }
    }

    pub(super) fn create_directory(&mut self, base: Number, path: &str) -> Result<(), ErrorCode> {
        let Named {
            dir, name, found, ..
        } = self.named(base, path, ErrorCode::Exist)?;
        if found.is_some() {
            return Err(ErrorCode::Exist);
        }
        self.make(dir, name, Body::Dir(Dir::new(dir)))?;
        Ok(())
    }

    /// A target is not looked at before it is followed, except that it must
    /// not be absolute.
    pub(super) fn symlink(
        &mut self,
        base: Number,
        target: &str,
        path: &str,
    ) -> Result<(), ErrorCode> {
        match target {
            "" => return Err(ErrorCode::NoEntry),
            _ if target.starts_with('/') => return Err(ErrorCode::NotPermitted),
            _ if target.contains('\0') => return Err(ErrorCode::Invalid),
            _ if target.len() > LONGEST_TARGET => return Err(ErrorCode::NameTooLong),
            _ => {}
        }
        let named = self.vacant(base, path)?;
        self.make(named.dir, named.name, Body::Link(target.into()))?;
        Ok(())
    }

    /// Gives a file or symbolic link one more name.
    pub(super) fn link(
        &mut self,
        (base, path): (Number, &str),
        (new_base, new_path): (Number, &str),
    ) -> Result<(), ErrorCode> {
        let (number, old) = self.find(base, path, false)?;
        let is_dir = old.is_dir();
        let new = self.vacant(new_base, new_path)?;
        if is_dir {
            return Err(ErrorCode::NotPermitted);
        }
        self.name(new.dir, new.name, number)
    }

    pub(super) fn unlink_file(&mut self, base: Number, path: &str) -> Result<(), ErrorCode> {
        let named = self.named(base, path, ErrorCode::IsDirectory)?;
        let number = named.existing(self)?;
        if self.get(number)?.is_dir() {
            return Err(ErrorCode::IsDirectory);
        }
        self.unname(named.dir, &named.name)
    }

    pub(super) fn remove_directory(&mut self, base: Number, path: &str) -> Result<(), ErrorCode> {
        let named = self.named(base, path, ErrorCode::Invalid)?;
        let number = named.existing(self)?;
        if !self.get(number)?.dir()?.names.is_empty() {
            return Err(ErrorCode::NotEmpty);
        }
        self.unname(named.dir, &named.name)
    }

    /// As POSIX has it: over a file, and over an empty directory if it is one.
    pub(super) fn rename_at(
        &mut self,
        (base, path): (Number, &str),
        (new_base, new_path): (Number, &str),
    ) -> Result<(), ErrorCode> {
        let old = self.walk(base, path, Last::Name)?;
        let new = self.walk(new_base, new_path, Last::Name)?;
        let (Place::Named(old), Place::Named(new)) = (old, new) else {
            return Err(ErrorCode::Busy);
        };
        let number = old.existing(self)?;
        let height = self.get(number)?.height();
        let is_dir = height.is_some();
        if let Some(height) = height {
            self.writable(new.dir)?;
            let above = self.above(new.dir)?;
            if new.dir == number || above.contains(&number) {
                return Err(ErrorCode::Invalid);
            }
            if above.len() + 1 + usize::from(height) > DEEPEST {
                return Err(ErrorCode::NameTooLong);
            }
        } else if new.slash {
            return Err(ErrorCode::NotDirectory);
        }
        if let Some(there) = new.found {
            if there == number {
                return Ok(());
            }
            // A directory that holds what is to be moved.
            if there == old.dir || self.above(old.dir)?.contains(&there) {
                return Err(ErrorCode::NotEmpty);
            }
            let dir = self.get(there)?.dir().ok();
            match dir.map(|dir| dir.names.is_empty()) {
                Some(_) if !is_dir => return Err(ErrorCode::IsDirectory),
                Some(false) => return Err(ErrorCode::NotEmpty),
                None if is_dir => return Err(ErrorCode::NotDirectory),
                _ => self.unname(new.dir, &new.name)?,
            }
        }
        // Over something that stands there this cannot fail: what its name
        // cost is free again.
        self.rename((old.dir, &old.name), (new.dir, new.name))
    }

    /// The name at the end of `path`, where nothing stands and no directory is
    /// to be.
    fn vacant(&self, base: Number, path: &str) -> Result<Named, ErrorCode> {
        let named = self.named(base, path, ErrorCode::Exist)?;
        match named {
            Named { found: Some(_), .. } => Err(ErrorCode::Exist),
            Named { slash: true, .. } => Err(ErrorCode::NoEntry),
            named => Ok(named),
        }
    }
}
