use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// What a file is called until all of it is there.
const UNFINISHED: &str = ".new-";

/// Seconds after which an unfinished file has no writer any more.
const STALE: i64 = 3600;

/// Tells this process's unfinished files apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory of the process's user's own. All names are resolved in it,
/// whatever becomes of its path.
#[derive(Debug)]
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

    /// All of the file `name`, if it can be had and has at most `most` bytes;
    /// notes that it was used.
    pub(super) fn read(&self, name: &str, most: usize) -> Option<Vec<u8>> {
        // A pipe or a link in its place must not be followed or waited for.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = fs::openat(&self.0, name, flags, Mode::empty()).ok()?;
        if !is_file(&fs::fstat(&file).ok()?) {
            return None;
        }
        let mut file = File::from(file);
        let len = usize::try_from(file.metadata().ok()?.len()).ok()?;
        if len > most {
            return None;
        }
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes).ok()?;
        // It only decides what goes first.
        let _ = file.set_modified(SystemTime::now());
        Some(bytes)
    }

    /// Puts a file there, all at once.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{UNFINISHED}{}-{number}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(fs::openat(&self.0, &unfinished, flags, mode)?);
        let written = file.write_all(bytes).and_then(|()| {
            fs::renameat(&self.0, &unfinished, &self.0, name).map_err(io::Error::from)
        });
        written.inspect_err(|_| self.remove(&unfinished))
    }

    /// Removes a file. One that cannot be removed stays.
    pub(super) fn remove(&self, name: &str) {
        let _ = fs::unlinkat(&self.0, name, AtFlags::empty());
    }

    /// Removes the files used longest ago until the others have `most` bytes at
    /// most, and what a writer left unfinished. Answers how many bytes stay.
    pub(super) fn trim(&self, most: u64) -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs().try_into().unwrap_or(i64::MAX));
        let mut files = self.files().unwrap_or_default();
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.used));
        let mut total = 0_u64;
        for file in files {
            if file.name.starts_with(UNFINISHED) {
                if file.used.0 < now - STALE {
                    self.remove(&file.name);
                }
                continue;
            }
            match total.checked_add(file.len).filter(|total| *total <= most) {
                Some(more) => total = more,
                None => self.remove(&file.name),
            }
        }
        total
    }

    fn files(&self) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        for entry in fs::Dir::read_from(&self.0)? {
            let Ok(name) = entry?.file_name().to_str().map(str::to_owned) else {
                continue;
            };
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
