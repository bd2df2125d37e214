//! A directory of the host: nothing outside of it is reached, and what is odd
//! in it is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use tempfile::TempDir;
use ww_loader::{Entry, Error, HostDir, Loader, LoaderExt, Node, Path, PathError};

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn list(loader: &HostDir, text: &str) -> Vec<Result<Entry, Error>> {
    match block_on(loader.open(&path(text))).unwrap() {
        Node::Dir(entries) => block_on(entries.collect()),
        node => panic!("{node:?}"),
    }
}

#[test]
fn a_root_that_is_no_directory_is_not_mere_absence() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    symlink("circle", dir.path().join("circle")).unwrap();
    for root in ["missing", "file", "circle"] {
        let root = dir.path().join(root);
        for asked in ["", "bin/main.wasm"] {
            let error = block_on(HostDir::new(&root).open(&path(asked))).unwrap_err();
            assert!(matches!(error, Error::Root { .. }), "{error:?}");
            assert!(!error.is_not_found());
            assert!(
                error.to_string().contains(root.to_str().unwrap()),
                "{error}"
            );
        }
    }
}

#[test]
fn links_that_leave_the_directory_are_errors() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let loader = HostDir::new(dir.path());
    let not_utf8 = OsStr::from_bytes(b"\xff");
    for target in [OsStr::new("../.."), OsStr::new("/../x"), not_utf8] {
        let link = dir.path().join("sub/link");
        symlink(target, &link).unwrap();
        let error = block_on(loader.open(&path("sub/link"))).unwrap_err();
        assert!(matches!(error, Error::Link { .. }), "{target:?}: {error:?}");
        fs::remove_file(link).unwrap();
    }
}

#[test]
fn names_that_are_not_utf8_are_told_and_the_rest_is_listed() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("fine"), "").unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = list(&HostDir::new(dir.path()), "")
        .into_iter()
        .partition(Result::is_ok);
    assert_eq!(good[0].as_ref().unwrap().name, "fine");
    let [Err(Error::Name { source, .. })] = &bad[..] else {
        panic!("{bad:?}");
    };
    assert!(matches!(source, PathError::NotUtf8 { .. }));
}

#[test]
fn devices_pipes_and_sockets_are_left_out_and_refused() {
    let dir = TempDir::new().unwrap();
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    let loader = HostDir::new(dir.path());
    assert!(list(&loader, "").is_empty());
    let error = block_on(loader.open(&path("socket"))).unwrap_err();
    assert!(matches!(error, Error::Special { .. }));
    let error = block_on(HostDir::new("/dev").open(&path("null"))).unwrap_err();
    assert!(matches!(error, Error::Special { .. }));
}

#[test]
fn a_huge_sparse_file_is_read_by_range() {
    let dir = TempDir::new().unwrap();
    let size = 1 << 40;
    let file = fs::File::create(dir.path().join("huge")).unwrap();
    file.set_len(size).unwrap();
    let loader = HostDir::new(dir.path());
    let Node::File(file) = block_on(loader.open(&path("huge"))).unwrap() else {
        panic!("a file");
    };
    assert_eq!(file.len(), size);
    assert_eq!(
        block_on(file.read_at(size - 3, usize::MAX)).unwrap(),
        [0; 3][..]
    );
    assert_eq!(block_on(file.read_at(size / 2, 4096)).unwrap().len(), 4096);
    let error = block_on(loader.load(&path("huge"), 1 << 20)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }));
}

#[test]
fn a_file_that_is_cut_while_open_is_an_error_and_one_that_grows_is_not() {
    let dir = TempDir::new().unwrap();
    let on_host = dir.path().join("file");
    fs::write(&on_host, "0123456789").unwrap();
    let loader = HostDir::new(dir.path());
    let Node::File(file) = block_on(loader.open(&path("file"))).unwrap() else {
        panic!("a file");
    };
    fs::write(&on_host, "0123456789 and more").unwrap();
    assert_eq!(block_on(file.read_at(0, 100)).unwrap(), "0123456789");
    fs::write(&on_host, "0123").unwrap();
    assert!(matches!(
        block_on(file.read_at(0, 100)),
        Err(Error::Changed { .. })
    ));
    assert_eq!(block_on(file.read_at(1, 2)).unwrap(), "12");
}

#[test]
fn a_file_whose_place_another_took_is_an_error() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "0123456789").unwrap();
    let loader = HostDir::new(dir.path());
    let Node::File(file) = block_on(loader.open(&path("file"))).unwrap() else {
        panic!("a file");
    };
    let changed = || {
        let read = block_on(file.read_at(0, 100));
        assert!(matches!(read, Err(Error::Changed { .. })), "{read:?}");
    };
    fs::rename(at("file"), at("other")).unwrap();
    changed();
    fs::create_dir(at("file")).unwrap();
    changed();
    fs::remove_dir(at("file")).unwrap();
    symlink(at("other"), at("file")).unwrap();
    changed();
    fs::remove_file(at("file")).unwrap();
    fs::write(at("file"), "0123456789").unwrap();
    changed();
    fs::rename(at("other"), at("file")).unwrap();
    assert_eq!(block_on(file.read_at(0, 100)).unwrap(), "0123456789");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_has_the_inode_of_one_that_is_gone_is_another() {
    let dir = TempDir::new().unwrap();
    let at = dir.path().join("file");
    fs::write(&at, "one").unwrap();
    let node = block_on(HostDir::new(dir.path()).open(&path("file"))).unwrap();
    let Node::File(file) = node else {
        panic!("{node:?}");
    };
    let known = || {
        let found = fs::metadata(&at).unwrap();
        (found.ino(), found.created().ok())
    };
    let (inode, Some(born)) = known() else {
        // What the file system does not say cannot be told apart.
        return;
    };
    // Some never use an inode again, and births in one tick are the same.
    for _ in 0..10_000 {
        fs::remove_file(&at).unwrap();
        fs::write(&at, "two").unwrap();
        match known() {
            (other, Some(at)) if other == inode && at != born => {
                let error = block_on(file.read_at(0, 3)).unwrap_err();
                assert!(matches!(error, Error::Changed { .. }), "{error:?}");
                return;
            }
            _ => {}
        }
    }
    // Nor is there anything to be told apart.
    assert_ne!(
        known().0,
        inode,
        "the file system does not say when files were born"
    );
}

#[test]
fn open_files_hold_no_descriptors() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "0123456789").unwrap();
    let loader = HostDir::new(dir.path());
    let files: Vec<_> = (0..5000)
        .map(|_| block_on(loader.open(&path("file"))).unwrap())
        .collect();
    assert_eq!(files.len(), 5000);
    // The tests beside this one hold some.
    let held = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(held < 500, "{held} descriptors");
}

#[test]
fn a_long_listing_comes_whole_and_may_be_dropped_midway() {
    let dir = TempDir::new().unwrap();
    for number in 0..1000 {
        fs::write(dir.path().join(format!("file{number}")), "").unwrap();
    }
    let loader = HostDir::new(dir.path());
    let mut names: Vec<_> = list(&loader, "")
        .into_iter()
        .map(|entry| entry.unwrap().name)
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 1000);
    let Node::Dir(mut entries) = block_on(loader.open(&Path::root())).unwrap() else {
        panic!("a directory");
    };
    assert!(block_on(entries.next()).is_some());
}

#[test]
fn no_race_leads_out_of_the_directory() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["outside", "root", "root/door"] {
        fs::create_dir(at(name)).unwrap();
    }
    fs::write(at("outside/file"), "secret").unwrap();
    fs::write(at("root/door/file"), "public").unwrap();
    symlink(at("outside"), at("root/way")).unwrap();
    let loader = HostDir::new(at("root"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // `door` is in turn the directory, absent, and the way out.
            while !done.load(Ordering::Relaxed) {
                fs::rename(at("root/door"), at("root/kept")).unwrap();
                fs::rename(at("root/way"), at("root/door")).unwrap();
                fs::rename(at("root/door"), at("root/way")).unwrap();
                fs::rename(at("root/kept"), at("root/door")).unwrap();
            }
        });
        let answers: Vec<_> = (0..2000)
            .map(|_| block_on(loader.load(&path("door/file"), 64)))
            .collect();
        done.store(true, Ordering::Relaxed);
        for answer in answers {
            match answer {
                Ok(bytes) => assert_eq!(bytes, "public"),
                Err(
                    Error::NotFound { .. } | Error::NotDirectory { .. } | Error::Changed { .. },
                ) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    });
}
