//! A scratch directory held against a directory of the host's, where the
//! kernel says what is right, under random operations.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::depth::height;
use super::scratch;
use crate::random::Seeded;
use crate::wasi::filesystem::scratch::Open;
use crate::wasi::filesystem::scratch::tree::Tree;
use crate::wasi::wit::filesystem::types::{DescriptorFlags, DescriptorType, ErrorCode, OpenFlags};

const NOFOLLOW: i32 = 0o400_000;
const DIRECTORY: i32 = 0o200_000;

fn code(error: &io::Error) -> ErrorCode {
    match error.raw_os_error().expect("the kernel has a number") {
        1 => ErrorCode::NotPermitted,
        2 => ErrorCode::NoEntry,
        9 => ErrorCode::BadDescriptor,
        16 => ErrorCode::Busy,
        17 => ErrorCode::Exist,
        20 => ErrorCode::NotDirectory,
        21 => ErrorCode::IsDirectory,
        22 => ErrorCode::Invalid,
        36 => ErrorCode::NameTooLong,
        39 => ErrorCode::NotEmpty,
        40 => ErrorCode::Loop,
        other => panic!("{other} is not expected: {error}"),
    }
}

fn kind(kind: fs::FileType) -> DescriptorType {
    match () {
        () if kind.is_dir() => DescriptorType::Directory,
        () if kind.is_symlink() => DescriptorType::SymbolicLink,
        () => DescriptorType::RegularFile,
    }
}

/// What a call answered, in a form that both sides can give.
fn told<T: std::fmt::Debug>(result: Result<T, ErrorCode>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(code) => format!("{code:?}"),
    }
}

struct Both {
    random: Seeded,
    root: Open,
    host: PathBuf,
    open: Vec<(Open, fs::File)>,
}

impl Both {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.next() % bound
    }

    fn path(&mut self) -> String {
        let count = 1 + self.below(3);
        let names = ["a", "b", "c", "a", "b", "c", ".", ".."];
        let names: Vec<_> = (0..count)
            .map(|_| names[self.below(names.len() as u64) as usize])
            .collect();
        let slash = if self.below(8) == 0 { "/" } else { "" };
        names.join("/") + slash
    }

    /// Makes one call on both sides and holds the answers against each other,
    /// unless the path leads out, where the host's must not go.
    fn step(&mut self) -> String {
        let (path, other) = (self.path(), self.path());
        let (host, host_other) = (self.host.join(&path), self.host.join(&other));
        let root = &self.root;
        let what = self.random.next() % 12;
        let kernel: Box<dyn FnOnce() -> io::Result<String>>;
        let ours;
        let name;
        match what {
            0 => {
                name = format!("mkdir {path}");
                ours = told(root.create_directory_at(&path));
                kernel = Box::new(|| fs::create_dir(host).map(|()| "()".into()));
            }
            1 => {
                name = format!("rmdir {path}");
                ours = told(root.remove_directory_at(&path));
                kernel = Box::new(|| fs::remove_dir(host).map(|()| "()".into()));
            }
            2 => {
                name = format!("unlink {path}");
                ours = told(root.unlink_file_at(&path));
                kernel = Box::new(|| fs::remove_file(host).map(|()| "()".into()));
            }
            3 | 4 => {
                name = format!("rename {path} {other}");
                ours = told(root.rename_at(&path, root, &other));
                kernel = Box::new(|| fs::rename(host, host_other).map(|()| "()".into()));
            }
            5 => {
                name = format!("link {path} {other}");
                ours = told(root.link_at(&path, root, &other));
                kernel = Box::new(|| fs::hard_link(host, host_other).map(|()| "()".into()));
            }
            6 => {
                name = format!("symlink {other} {path}");
                ours = told(root.symlink_at(&other, &path));
                kernel = Box::new(|| symlink(other, host).map(|()| "()".into()));
            }
            7 => {
                name = format!("readlink {path}");
                ours = told(root.readlink_at(&path));
                kernel = Box::new(|| fs::read_link(host).map(|link| format!("{link:?}")));
            }
            8 => {
                let follow = self.random.next().is_multiple_of(2);
                name = format!("stat {path} {follow}");
                let show = |kind, size, links| match kind {
                    DescriptorType::Directory => "a directory".to_owned(),
                    kind => format!("{kind:?} {size} {links}"),
                };
                ours = match root.stat_at(&path, follow) {
                    Ok(stat) => show(stat.type_, stat.size, stat.link_count),
                    Err(code) => format!("{code:?}"),
                };
                kernel = Box::new(move || {
                    let stat = match follow {
                        true => fs::metadata(host)?,
                        false => fs::symlink_metadata(host)?,
                    };
                    Ok(show(kind(stat.file_type()), stat.len(), stat.nlink()))
                });
            }
            9 => {
                name = format!("list {path}");
                let list = root.open_at(&path, true, OpenFlags::DIRECTORY, DescriptorFlags::READ);
                ours = told(list.map(|dir| {
                    let entries = dir.read_directory();
                    let entries = entries.map(|entry| (entry.name, entry.type_));
                    entries.collect::<Vec<_>>()
                }));
                kernel = Box::new(|| {
                    let mut entries = Vec::new();
                    for entry in fs::read_dir(host)? {
                        let entry = entry?;
                        let name = entry.file_name().into_string().expect("we named it");
                        entries.push((name, kind(entry.file_type()?)));
                    }
                    entries.sort_by(|one, other| one.0.cmp(&other.0));
                    Ok(format!("{entries:?}"))
                });
            }
            10 => return self.open(&path),
            _ => return self.file(),
        }
        self.compare(name, ours, kernel)
    }

    fn compare(
        &self,
        name: String,
        ours: String,
        kernel: impl FnOnce() -> io::Result<String>,
    ) -> String {
        if ours != format!("{:?}", ErrorCode::NotPermitted) {
            let theirs = kernel().unwrap_or_else(|error| format!("{:?}", code(&error)));
            // A path that ends in `..` is told from one that ends in `.` by the
            // kernel alone.
            let dots = name.starts_with("rmdir") && name.contains("..");
            assert!(ours == theirs || dots, "{name}: {ours}, not {theirs}");
        }
        name
    }

    fn open(&mut self, path: &str) -> String {
        let (how, access) = (self.below(16), self.below(3));
        let flag = |bit, flag| {
            if how & bit != 0 {
                flag
            } else {
                OpenFlags::empty()
            }
        };
        let directory = how & 8 != 0 && how & 7 == 0;
        // Which code a link gets that is neither followed nor a directory is
        // Wasmtime's, not the kernel's.
        let follow = directory || self.below(2) == 0;
        let opens = flag(1, OpenFlags::CREATE)
            | flag(2, OpenFlags::EXCLUSIVE)
            | flag(4, OpenFlags::TRUNCATE)
            | if directory {
                OpenFlags::DIRECTORY
            } else {
                OpenFlags::empty()
            };
        // The kernel's interface here wants to write where it creates.
        let write = access != 0 || how & 5 != 0;
        let flags = match (access, write) {
            (_, false) => DescriptorFlags::READ,
            (2, true) => DescriptorFlags::WRITE,
            (_, true) => DescriptorFlags::READ | DescriptorFlags::WRITE,
        };
        let mut options = fs::OpenOptions::new();
        options
            .read(flags.contains(DescriptorFlags::READ))
            .write(write)
            .create(how & 1 != 0)
            .create_new(how & 3 == 3)
            .truncate(how & 4 != 0)
            .custom_flags(
                if follow { 0 } else { NOFOLLOW } | if directory { DIRECTORY } else { 0 },
            );
        let name = format!("open {path} {follow} {opens:?} {flags:?}");
        let ours = self.root.open_at(path, follow, opens, flags);
        if matches!(ours, Err(ErrorCode::NotPermitted)) {
            return name;
        }
        match (ours, options.open(self.host.join(path))) {
            (Ok(open), Ok(file)) => {
                let is_dir = file.metadata().expect("it is open").is_dir();
                assert_eq!(open.file().is_err(), is_dir, "{name}");
                if !is_dir && self.open.len() < 6 {
                    self.open.push((open, file));
                }
            }
            (Err(ours), Err(theirs)) => assert_eq!(ours, code(&theirs), "{name}"),
            (ours, theirs) => panic!("{name}: {:?}, not {theirs:?}", ours.err()),
        }
        name
    }

    /// A call on an open file, or its end.
    fn file(&mut self) -> String {
        if self.open.is_empty() {
            return "nothing is open".into();
        }
        let count = self.open.len() as u64;
        let at = self.below(count) as usize;
        let (offset, len) = (self.below(20_000), self.below(9000));
        let what = self.below(6);
        if what == 0 {
            self.open.remove(at);
            return format!("close {at}");
        }
        let (open, file) = &self.open[at];
        let (name, ours, theirs) = match what {
            1 | 2 => {
                let bytes = vec![1 + (offset % 255) as u8; len as usize];
                let theirs = file.write_at(&bytes, offset).map(|count| count as u64);
                (
                    "write",
                    told(open.write(&bytes, offset)),
                    theirs.map(|told| format!("{told:?}")),
                )
            }
            3 => {
                let ours = told(open.set_size(offset));
                ("set-size", ours, file.set_len(offset).map(|()| "()".into()))
            }
            4 => {
                let ours = open.stat().map(|stat| (stat.size, stat.link_count));
                let theirs = file.metadata().map(|stat| (stat.len(), stat.nlink()));
                ("stat", told(ours), theirs.map(|told| format!("{told:?}")))
            }
            _ => {
                let mut bytes = vec![0; len as usize];
                let theirs = file.read_at(&mut bytes, offset);
                let theirs = theirs.map(|count| format!("{:?}", (&bytes[..count], count == 0)));
                ("read", told(open.read(len, offset)), theirs)
            }
        };
        let theirs = theirs.unwrap_or_else(|error| format!("{:?}", code(&error)));
        assert!(ours == theirs, "{name} of {at}, {len} at {offset}");
        format!("{name} of {at}, {len} at {offset}")
    }
}

/// Removes all that is in the directory at `path`.
fn clear(root: &Open, path: &str) {
    let dir = root.open_at(path, false, OpenFlags::empty(), DescriptorFlags::READ);
    for entry in dir.expect("it is a directory").read_directory() {
        let below = format!("{path}/{}", entry.name);
        match entry.type_ {
            DescriptorType::Directory => {
                clear(root, &below);
                root.remove_directory_at(&below)
            }
            _ => root.unlink_file_at(&below),
        }
        .expect("it can be removed");
    }
}

#[test]
fn it_does_what_the_kernel_does() {
    for seed in 0..60 {
        let host = tempfile::tempdir().expect("a directory");
        let (budget, root) = scratch(u64::MAX);
        let mut both = Both {
            random: Seeded::new(seed),
            root,
            host: host.path().to_owned(),
            open: Vec::new(),
        };
        let mut log = Vec::new();
        for _ in 0..1000 {
            let step = || {
                let line = both.step();
                height(&both.root.scratch.lock(), Tree::ROOT);
                line
            };
            match catch_unwind(AssertUnwindSafe(step)) {
                Ok(line) => log.push(line),
                Err(_) => {
                    let last = &log[log.len().saturating_sub(30)..];
                    panic!("with seed {seed}, after {last:#?}");
                }
            }
        }
        clear(&both.root, ".");
        both.open.clear();
        assert_eq!(budget.used(), 0);
    }
}
