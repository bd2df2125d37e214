//! Images that answer only for one content.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use tempfile::TempDir;
use ww_image::{Cid, Error, Image, Layer, Node, Path, Profile};
use ww_loader::{HostDir, Loader, Memory, async_trait};

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

/// A directory with a file of several chunks.
fn dir() -> TempDir {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("bin")).unwrap();
    fs::create_dir_all(at("etc")).unwrap();
    fs::create_dir_all(at("svc/chat/bin")).unwrap();
    fs::write(at("bin/main.wasm"), "main").unwrap();
    fs::write(at("svc/chat/bin/main.wasm"), "chat").unwrap();
    fs::write(at("etc/large"), support::bytes((2 << 20) + 5)).unwrap();
    symlink("large", at("etc/link")).unwrap();
    dir
}

fn cid(dir: &TempDir) -> Cid {
    block_on(Image::from(dir.path()).cid()).unwrap()
}

fn file(image: &Image, text: &str) -> ww_image::File {
    match block_on(image.open(&path(text))).unwrap() {
        Node::File(file) => file,
        other => panic!("{text} is {other:?}"),
    }
}

#[test]
fn what_a_chain_finds_is_hashed() {
    let chain = ww_loader::ChainLoader::new()
        .then(Memory::files([("etc/motd", "first")]).unwrap())
        .then(Memory::files([("bin/main.wasm", "second"), ("etc/motd", "no")]).unwrap());
    let flat = Memory::files([("bin/main.wasm", "second"), ("etc/motd", "first")]);
    let image = Image::from(Layer::from(chain));
    let sealed = block_on(image.hashing().seal()).unwrap();
    for image in [&image, &sealed] {
        assert_eq!(block_on(image.main()).unwrap(), "second");
    }
    let flat = Image::from(flat.unwrap());
    assert_eq!(
        block_on(image.cid()).unwrap(),
        block_on(flat.cid()).unwrap()
    );
}

#[test]
fn a_pinned_image_answers_as_the_image_does() {
    let dir = dir();
    let free = Image::from(dir.path());
    let bytes = support::bytes((2 << 20) + 5);
    for profile in [Profile::UnixFsV1_2025, Profile::UnixFsV0_2015] {
        let cid = block_on(free.hashing().profile(profile).cid()).unwrap();
        let sealed = block_on(free.hashing().profile(profile).seal()).unwrap();
        for image in [free.pin(cid.clone()), sealed] {
            assert_eq!(image.pinned(), Some(cid.clone()));
            assert_eq!(block_on(image.cid()).unwrap(), cid);
            assert_eq!(block_on(image.main()).unwrap(), "main");
            assert_eq!(
                block_on(image.read(&path("etc/link"), 3 << 20)).unwrap(),
                bytes
            );
            let file = file(&image, "etc/large");
            assert_eq!(file.layer().name(), free.layers()[0].name());
            for (offset, len) in [
                (0, 5),
                (0, 1 << 20),
                ((256 << 10) - 2, 4),
                ((1 << 20) - 1, (1 << 20) + 2),
                ((2 << 20) + 3, 100),
                (2 << 20, 5),
                (3 << 20, 1),
                (u64::MAX, usize::MAX),
                (0, usize::MAX),
            ] {
                let start = usize::try_from(offset).unwrap().min(bytes.len());
                let wanted = &bytes[start..start.saturating_add(len).min(bytes.len())];
                let read = block_on(file.read_at(offset, len)).unwrap();
                assert!(read == wanted, "{profile}: {len} at {offset}");
            }
            for text in ["", "etc", "svc"] {
                let names = |image: &Image| -> Vec<_> {
                    let entries = block_on(image.read_dir(&path(text))).unwrap();
                    entries
                        .into_iter()
                        .map(|entry| (entry.name, entry.kind))
                        .collect()
                };
                assert_eq!(names(&image), names(&free), "{text}");
            }
            let service = block_on(image.service("chat")).unwrap();
            assert_eq!(block_on(service.main()).unwrap(), "chat");
            let alone = Image::from(Memory::files([("bin/main.wasm", "chat")]).unwrap());
            let alone = block_on(alone.hashing().profile(profile).cid()).unwrap();
            assert_eq!(service.pinned(), Some(alone));
            assert!(
                block_on(image.open(&path("none")))
                    .unwrap_err()
                    .is_not_found()
            );
            let below = block_on(image.open(&path("bin/main.wasm/x"))).unwrap_err();
            assert!(matches!(below, Error::NotDirectory { .. }), "{below:?}");
        }
    }
}

#[test]
fn an_image_with_another_cid_is_refused_by_name() {
    let dir = dir();
    let expected = cid(&dir);
    fs::write(dir.path().join("etc/more"), "").unwrap();
    let found = cid(&dir);
    let image = Image::builder()
        .layer(dir.path())
        .pin(expected.clone())
        .build();
    for error in [
        block_on(image.main()).unwrap_err(),
        block_on(image.cid()).unwrap_err(),
        block_on(image.read_dir(&Path::root())).unwrap_err(),
        block_on(image.service("chat")).unwrap_err(),
        block_on(image.hashing().seal()).unwrap_err(),
    ] {
        let text = error.to_string();
        let name = dir.path().display();
        assert_eq!(
            text,
            format!("layer {name}: the content is {found}, and is pinned to {expected}")
        );
    }
    // What was refused stays refused: it was this image's content that counted.
    fs::remove_file(dir.path().join("etc/more")).unwrap();
    assert!(matches!(block_on(image.main()), Err(Error::Pin { .. })));
    assert_eq!(block_on(image.pin(expected).main()).unwrap(), "main");
}

/// Changes a file's bytes and nothing else: the place on disk is the same.
fn overwrite(dir: &TempDir, name: &str, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(dir.path().join(name));
    file.unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn what_changes_after_it_was_hashed_is_never_read() {
    let dir = dir();
    let image = Image::from(dir.path()).pin(cid(&dir));
    let large = file(&image, "etc/large");
    overwrite(&dir, "bin/main.wasm", 0, b"evil");
    overwrite(&dir, "etc/large", (1 << 20) + 7, b"evil");
    let altered = |read: Result<_, Error>, text: &str| match read {
        Err(Error::Altered { path: at, .. }) => assert_eq!(at, path(text)),
        other => panic!("{text}: {other:?}"),
    };
    altered(block_on(image.main()), "bin/main.wasm");
    // The chunk before it and the one behind it are as they were.
    assert_eq!(block_on(large.read_at(0, 1 << 20)).unwrap().len(), 1 << 20);
    assert_eq!(block_on(large.read_at(2 << 20, 9)).unwrap().len(), 5);
    altered(block_on(large.read_at(1 << 20, 1)), "etc/large");
    altered(block_on(large.read_at(0, usize::MAX)), "etc/large");
    // Grown, cut, gone, or something else.
    for change in ["grown", "cut", "gone", "directory", "link"] {
        let at = dir.path().join("svc/chat/bin/main.wasm");
        match change {
            "grown" => fs::write(&at, "chat and more").unwrap(),
            "cut" => fs::write(&at, "cha").unwrap(),
            "gone" => fs::remove_file(&at).unwrap(),
            "directory" => fs::create_dir(&at).unwrap(),
            _ => {
                fs::remove_dir(&at).unwrap();
                symlink("../../../bin/main.wasm", &at).unwrap();
            }
        }
        let read = block_on(image.read(&path("svc/chat/bin/main.wasm"), 64));
        altered(read, "svc/chat/bin/main.wasm");
    }
    // What was added is not there, and what was a link leads where it led.
    fs::write(dir.path().join("etc/more"), "").unwrap();
    fs::remove_file(dir.path().join("etc/link")).unwrap();
    fs::write(dir.path().join("etc/link"), "evil").unwrap();
    let names: Vec<_> = block_on(image.read_dir(&path("etc"))).unwrap();
    assert_eq!(names.len(), 2);
    assert_eq!(file(&image, "etc/link").path(), &path("etc/large"));
}

#[test]
fn a_file_that_is_open_while_it_is_cut_is_altered() {
    let dir = dir();
    let image = Image::from(dir.path()).pin(cid(&dir));
    let large = file(&image, "etc/large");
    fs::File::options()
        .write(true)
        .open(dir.path().join("etc/large"))
        .unwrap()
        .set_len(10)
        .unwrap();
    let error = block_on(large.read_at(5, 100)).unwrap_err();
    assert!(matches!(error, Error::Altered { .. }), "{error:?}");
}

/// Counts how often anything is opened.
struct Counting(HostDir, Arc<AtomicUsize>);

#[async_trait]
impl Loader for Counting {
    async fn open(&self, path: &Path) -> Result<ww_loader::Node, ww_loader::Error> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.open(path).await
    }
}

#[test]
fn nothing_is_read_before_the_first_question_and_nothing_is_hashed_twice() {
    let dir = dir();
    let opened = Arc::new(AtomicUsize::new(0));
    let layer = Layer::new("dir", Counting(HostDir::new(dir.path()), opened.clone()));
    let image = Image::from(layer).pin(cid(&dir));
    let opened = || opened.swap(0, Ordering::Relaxed);
    assert_eq!(opened(), 0);
    block_on(image.read_dir(&Path::root())).unwrap();
    // Six directories and four more entries.
    assert_eq!(opened(), 10);
    block_on(image.read_dir(&path("etc"))).unwrap();
    block_on(image.cid()).unwrap();
    assert_eq!(opened(), 0);
    block_on(image.main()).unwrap();
    assert_eq!(opened(), 1);
}

#[test]
fn several_who_ask_first_share_one_hashing() {
    let dir = dir();
    let opened = Arc::new(AtomicUsize::new(0));
    let layer = Layer::new("dir", Counting(HostDir::new(dir.path()), opened.clone()));
    let image = Image::from(layer).pin(cid(&dir));
    let (one, other) = block_on(futures_lite::future::zip(image.cid(), image.cid()));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(opened.load(Ordering::Relaxed), 10);
}

#[test]
fn a_pinned_image_has_its_other_cid_from_what_it_is_held_to() {
    let dir = dir();
    let free = Image::from(dir.path());
    let old = Profile::UnixFsV0_2015;
    let wanted = block_on(free.hashing().profile(old).cid()).unwrap();
    let image = free.pin(cid(&dir));
    assert_eq!(
        block_on(image.hashing().profile(old).cid()).unwrap(),
        wanted
    );
    overwrite(&dir, "bin/main.wasm", 0, b"evil");
    let other = block_on(image.hashing().profile(old).cid()).unwrap_err();
    assert!(matches!(other, Error::Altered { .. }), "{other:?}");
}

#[test]
fn a_cid_of_either_version_names_the_same_content() {
    let dir = dir();
    let old = Profile::UnixFsV0_2015;
    let cid = block_on(Image::from(dir.path()).hashing().profile(old).cid()).unwrap();
    let hash: [u8; 32] = cid.multihash()[2..].try_into().unwrap();
    let modern = Cid::from_sha2_256(ww_loader::ipld::Codec::DagPb, hash);
    let image = |profile: Option<Profile>| {
        let builder = Image::builder().layer(dir.path()).pin(modern.clone());
        match profile {
            Some(profile) => builder.profile(profile).build(),
            None => builder.build(),
        }
    };
    assert_eq!(block_on(image(Some(old)).main()).unwrap(), "main");
    // Its version alone speaks for the other profile.
    assert!(matches!(
        block_on(image(None).main()),
        Err(Error::Pin { .. })
    ));
}

#[test]
fn what_its_only_layer_verifies_is_not_hashed_again() {
    let dir = dir();
    let cid = cid(&dir);
    let opened = Arc::new(AtomicUsize::new(0));
    let layer = Layer::verified(
        cid.clone(),
        Counting(HostDir::new(dir.path()), opened.clone()),
    );
    assert_eq!(layer.name(), cid.to_string());
    let image = Image::from(layer.clone());
    for image in [image.clone(), image.pin(cid.clone())] {
        assert_eq!(image.pinned(), Some(cid.clone()));
        assert_eq!(block_on(image.cid()).unwrap(), cid);
        assert_eq!(opened.swap(0, Ordering::Relaxed), 0);
        assert_eq!(block_on(image.main()).unwrap(), "main");
        assert_eq!(opened.swap(0, Ordering::Relaxed), 1);
    }
    // What it is called is one thing, what it has under a profile another.
    let old = Profile::UnixFsV0_2015;
    let other = block_on(image.hashing().profile(old).cid()).unwrap();
    assert_eq!(block_on(image.pin(other).main()).unwrap(), "main");
    let nothing = block_on(Image::from(Memory::new()).cid()).unwrap();
    let error = block_on(image.pin(nothing).main()).unwrap_err();
    assert!(matches!(error, Error::Pin { .. }), "{error:?}");
    // With a layer over it, it is something else.
    let more = Memory::files([("etc/more", "")]).unwrap();
    let united = Image::new([layer, Layer::from(more)]);
    assert_eq!(united.pinned(), None);
    assert_ne!(block_on(united.cid()).unwrap(), cid);
}

#[test]
fn the_deepest_image_is_let_go_of_on_a_small_stack() {
    let deepest = vec!["d"; Path::MAX_LEN / 2].join("/");
    let tree = Memory::files([(deepest, "")]).unwrap();
    let image = block_on(Image::from(tree).hashing().seal()).unwrap();
    let small = std::thread::Builder::new().stack_size(128 << 10);
    small.spawn(move || drop(image)).unwrap().join().unwrap();
}
