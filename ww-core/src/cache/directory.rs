use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

/// What a file is called until all of it is there.
const UNFINISHED: &str = ".new-";

/// Seconds after which an unfinished file has no writer any more.
const STALE: i64 = 3600;

/// A directory that belongs to the process's user alone. All names are
/// resolved in it, whatever becomes of its path.
pub(super) struct Directory(OwnedFd);

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::open(path, flags, Mode::empty())?;
        private(&fs::fstat(&directory)?)?;
        Ok(Self(directory))
    }

    /// The secret in the file `name`, which is made up where there is none.
    pub(super) fn secret<const LEN: usize>(&self, name: &str) -> io::Result<[u8; LEN]> {
        loop {
            match self.open_file(name) {
                Ok(mut file) => {
                    let mut secret = [0; LEN];
                    file.read_exact(&mut secret).map_err(|error| {
                        let text = format!("its {name} is no secret ({error}); remove that file");
                        io::Error::new(error.kind(), text)
                    })?;
                    return Ok(secret);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let text = format!("its {name}: {error}");
                    return Err(io::Error::new(error.kind(), text));
                }
            }
            let mut secret = [0; LEN];
            getrandom::fill(&mut secret)?;
            let unfinished = self.unfinished(&[&secret])?;
            // After a crash there must not be a key without its bytes, which
            // nobody could mend but the user.
            fs::fsync(self.open_file(&unfinished)?)?;
            // Who comes second takes the first one's.
            let linked = fs::linkat(&self.0, &unfinished, &self.0, name, AtFlags::empty());
            self.remove(&unfinished);
            match linked {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// All of the file `name`, unless it has more than `most` bytes, and notes
    /// that it was used. `None` where it cannot be had.
    pub(super) fn read(&self, name: &str, most: u64) -> Option<Vec<u8>> {
        let mut file = self.open_file(name).ok()?;
        let len = file.metadata().ok()?.len();
        if len > most {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        file.read_exact(&mut bytes).ok()?;
        // It only decides what goes first.
        let _ = file.set_modified(std::time::SystemTime::now());
        Some(bytes)
    }

    /// Puts a file there, all at once.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = self.unfinished(parts)?;
        fs::renameat(&self.0, &unfinished, &self.0, name).map_err(|error| {
            self.remove(&unfinished);
            error.into()
        })
    }

    /// Removes a file. One that cannot be removed stays.
    pub(super) fn remove(&self, name: &str) {
        let _ = fs::unlinkat(&self.0, name, AtFlags::empty());
    }

    /// Removes the files used longest ago until the others have `most` bytes
    /// at most, and what a writer left unfinished. `spared` is not one of them.
    pub(super) fn trim(&self, most: u64, spared: &str) {
        let mut files = self.files(spared).unwrap_or_default();
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.used));
        let newest = files.first().map_or(0, |file| file.used);
        let mut total = 0_u64;
        for file in files {
            let unfinished = file.name.starts_with(UNFINISHED);
            total = total.saturating_add(file.len);
            if (unfinished && file.used < newest - STALE) || (!unfinished && total > most) {
                self.remove(&file.name);
            }
        }
    }

    fn files(&self, spared: &str) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        for entry in fs::Dir::read_from(&self.0)? {
            let Ok(name) = entry?.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            let stat = fs::statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW);
            let Ok(stat) = stat else { continue };
            let regular = fs::FileType::from_raw_mode(stat.st_mode).is_file();
            if regular && name != spared {
                files.push(Listed {
                    name,
                    used: stat.st_mtime,
                    len: stat.st_size.try_into().unwrap_or_default(),
                });
            }
        }
        Ok(files)
    }

    /// Opens a file of the process's user's own.
    fn open_file(&self, name: &str) -> io::Result<File> {
        // A pipe in its place must not keep us waiting.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&self.0, name, flags, Mode::empty())?;
        let stat = fs::fstat(&file)?;
        if !fs::FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(io::Error::other(format!("{name} is no regular file")));
        }
        private(&stat)?;
        Ok(file.into())
    }

    /// Writes a file under a name that nobody reads, and answers the name.
    fn unfinished(&self, parts: &[&[u8]]) -> io::Result<String> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce)?;
        let name = format!("{UNFINISHED}{:016x}", u64::from_le_bytes(nonce));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = fs::openat(&self.0, &name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(file);
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        written
            .map(|()| name.clone())
            .inspect_err(|_| self.remove(&name))
    }
}

/// One file of a directory.
struct Listed {
    name: String,
    /// Seconds since 1970.
    used: i64,
    len: u64,
}

/// Refuses what is another user's, or open to others.
fn private(stat: &Stat) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user {
        let text = format!("it belongs to user {}, not to {user}", stat.st_uid);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let mode = stat.st_mode & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("its mode is {mode:o}, which lets others in; take that from them");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}
