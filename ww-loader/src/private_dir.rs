use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

/// What a file is called until all of it is there.
const UNFINISHED: &str = ".new-";

/// Seconds after which an unfinished file has no writer any more, where the file
/// system knows no locks to tell by.
const STALE: i64 = 3600;

/// Bytes of the disk that files take in whole: what file systems usually have.
const PAGE: u64 = 4096;

/// A directory of files that belongs to the process's user alone (mode 0700):
/// what caches on disk stand in. Only on Unix is there one, and `open` fails elsewhere.
///
/// - All names are resolved in the directory that was opened, whatever becomes
///   of its path. A name is one component of a path.
/// - A file appears all at once, so that a crash leaves no half of one, and any
///   number of processes may share the directory. What a crashed writer had not
///   finished is nobody's to read, and [`trim`](Self::trim) removes it.
/// - What is another user's, lets others in, or is no regular file counts as
///   not there.
/// - A file counts with the whole pages of 4 KiB that it takes of the disk, so
///   that many small ones are not more than they seem.
/// - Calls wait for the disk.
#[derive(Debug)]
pub struct PrivateDir(OwnedFd);

impl PrivateDir {
    /// The directory `path`, which is made, with its parents, where there is
    /// none.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read, does not belong to the
    /// process's user, or lets others in.
    pub fn open(path: &Path) -> io::Result<Self> {
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

    /// The file `name`, to be read.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or is not the user's own regular file.
    pub fn file(&self, name: &str) -> io::Result<File> {
        // A pipe or a link in its place must not be followed or waited for.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&self.0, name, flags, Mode::empty())?;
        let stat = fs::fstat(&file)?;
        if !is_file(&stat) {
            return Err(io::Error::other(format!("{name} is no regular file")));
        }
        private(&stat)?;
        Ok(file.into())
    }

    /// All of the file `name`, unless it has more than `most` bytes, and notes
    /// that it was used. `None` where it cannot be had.
    pub fn read(&self, name: &str, most: u64) -> Option<Vec<u8>> {
        let mut file = self.file(name).ok()?;
        let len = file.metadata().ok()?.len();
        if len > most {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        file.read_exact(&mut bytes).ok()?;
        // It only decides what goes first.
        let _ = file.set_modified(SystemTime::now());
        Some(bytes)
    }

    /// Puts a file of these parts there, all at once, in place of one that has
    /// the name.
    ///
    /// # Errors
    ///
    /// When it cannot be written. Nothing of it is left then.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let unfinished = self.unfinished(parts)?;
        fs::renameat(&self.0, &unfinished.name, &self.0, name).map_err(|error| {
            self.remove(&unfinished.name);
            error.into()
        })
    }

    /// Puts a file there, all at once and on the disk itself, unless there is
    /// one: of several who try, the first one's stays.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_first(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.unfinished(&[bytes])?;
        let from = &unfinished.name;
        let linked = unfinished.file.sync_all().and_then(|()| {
            match fs::linkat(&self.0, from, &self.0, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            }
        });
        self.remove(from);
        linked
    }

    /// Removes a file. One that cannot be removed stays.
    pub fn remove(&self, name: &str) {
        let _ = fs::unlinkat(&self.0, name, AtFlags::empty());
    }

    /// Removes the files used longest ago until the others have `most` bytes at
    /// most, and what writers that are gone left unfinished. Files whose name is
    /// not `own` are nobody's business: they stay, and do not count. Answers how
    /// many bytes stay.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read. Nothing is removed then.
    pub fn trim(&self, most: u64, own: impl Fn(&str) -> bool) -> io::Result<u64> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs().try_into().unwrap_or(i64::MAX));
        let mut files = self.files(own)?;
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.used));
        let mut total = 0_u64;
        for file in files {
            if file.name.starts_with(UNFINISHED) {
                self.remove_abandoned(&file, now);
                continue;
            }
            match total
                .checked_add(Self::weight(file.len))
                .filter(|total| *total <= most)
            {
                Some(more) => total = more,
                None => self.remove(&file.name),
            }
        }
        Ok(total)
    }

    /// What a file of `len` bytes counts.
    pub fn weight(len: u64) -> u64 {
        len.max(1).div_ceil(PAGE).saturating_mul(PAGE)
    }

    /// Those that are `own`, and unfinished ones.
    fn files(&self, own: impl Fn(&str) -> bool) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        for entry in fs::Dir::read_from(&self.0)? {
            let Ok(name) = entry?.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            if !name.starts_with(UNFINISHED) && !own(&name) {
                continue;
            }
            let stat = fs::statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW);
            let Some(stat) = stat.ok().filter(is_file) else {
                continue;
            };
            files.push(Listed {
                name,
                used: (stat.st_mtime, stat.st_mtime_nsec as i64),
                len: stat.st_size.try_into().unwrap_or_default(),
            });
        }
        Ok(files)
    }

    /// Writes a file under a name that nobody reads.
    fn unfinished(&self, parts: &[&[u8]]) -> io::Result<Unfinished> {
        let mut unfinished = self.locked()?;
        let written = parts
            .iter()
            .try_for_each(|part| unfinished.file.write_all(part));
        match written {
            Ok(()) => Ok(unfinished),
            Err(error) => {
                self.remove(&unfinished.name);
                Err(error)
            }
        }
    }

    /// An empty file under such a name, which is ours as long as it is open.
    fn locked(&self) -> io::Result<Unfinished> {
        loop {
            // Numbers of processes are not told apart where those of several
            // machines or containers share the directory.
            let mut nonce = [0; 8];
            getrandom::fill(&mut nonce)?;
            let name = format!("{UNFINISHED}{:016x}", u64::from_le_bytes(nonce));
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = fs::openat(&self.0, &name, flags, Mode::RUSR | Mode::WUSR)?;
            // Without locks it has its age alone to protect it.
            let _ = fs::flock(&file, FlockOperation::LockExclusive);
            // Somebody may have taken it for abandoned before it was locked.
            if fs::fstat(&file)?.st_nlink > 0 {
                let file = file.into();
                return Ok(Unfinished { name, file });
            }
        }
    }

    /// Removes an unfinished file whose writer is gone: a lock ends with the
    /// process that holds it, however that ends.
    fn remove_abandoned(&self, listed: &Listed, now: i64) {
        let file = self.file(&listed.name).ok();
        let lock = |file| fs::flock(file, FlockOperation::NonBlockingLockExclusive);
        let abandoned = match file.as_ref().map(lock) {
            Some(Ok(())) => true,
            Some(Err(Errno::WOULDBLOCK)) => false,
            // Not ours to open, or no locks here.
            None | Some(Err(_)) => listed.used.0 < now - STALE,
        };
        if abandoned {
            self.remove(&listed.name);
        }
    }
}

/// A file under a name that nobody reads, locked for as long as it is open.
struct Unfinished {
    name: String,
    file: File,
}

/// One file of a directory.
struct Listed {
    name: String,
    /// Seconds since 1970, and nanoseconds.
    used: (i64, i64),
    len: u64,
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Refuses what is another user's, or open to others.
fn private(stat: &Stat) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let denied = |text| Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    if stat.st_uid != user {
        return denied(format!("it belongs to user {}, not to {user}", stat.st_uid));
    }
    match stat.st_mode & 0o777 {
        mode if mode & 0o077 != 0 => denied(format!(
            "its mode is {mode:o}, which lets others in; take that from them"
        )),
        _ => Ok(()),
    }
}
