//! Images: looking up, reading verified, hashing, and starting from a CID.

use std::cell::OnceCell;
use std::fs;
use std::time::Duration;

use criterion::Criterion;
use futures_lite::future::block_on;
use sha2::{Digest, Sha256};
use ww_benches::blocks::Held;
use ww_benches::files::{self, Files};
use ww_benches::time::{cpu, wall};
use ww_benches::{Outcome, Rounds, Table, cells};
use ww_core::Runtime;
use ww_core::cell::Builder;
use ww_image::{Image, Layer, Node};
use ww_loader::ipfs::{Blocks, Disk, Ipfs};
use ww_loader::ipld::Cid;
use ww_loader::{HostDir, Loader, Memory, Path};

/// What is looked up.
const FOUND: &str = "usr/lib/some/library.wasm";

/// Bytes of the file that is read, of one read, and of the least that has to be
/// kept of it meanwhile.
const FILE: usize = 64 << 20;
const READ: usize = 8 << 20;
const KEPT: usize = 4 << 20;

const HASH: &str = "sha2";
const HASH_GOAL: Option<f64> = Some(1.5);

fn main() -> Outcome<()> {
    let criterion = &mut Criterion::default().configure_from_args();
    let table = &mut Table::new();

    union(criterion, table)?;
    directories(criterion, table)?;
    verified(criterion, table)?;
    cid(criterion, table);
    warm(criterion, table)?;

    criterion.final_summary();
    table.print();
    Ok(())
}

/// One path, looked up in layers of memory, beside one of them alone.
fn union(criterion: &mut Criterion, table: &mut Table) -> Outcome<()> {
    for layers in [1, 8, 64] {
        let trees = (0..layers).map(tree).collect::<Outcome<Vec<_>>>()?;
        let bare = trees[0].clone();
        let name = format!("union/{}", counted(layers));
        lookups(
            criterion,
            table,
            (&name, |work| cpu(work)),
            Image::new(trees),
            bare,
        )?;
    }
    Ok(())
}

/// The same in layers that are directories of the host.
fn directories(criterion: &mut Criterion, table: &mut Table) -> Outcome<()> {
    let root = tempfile::tempdir()?;
    for layers in [1, 8, 64] {
        let mut trees = Vec::new();
        for index in 0..layers {
            let at = root.path().join(index.to_string());
            for (path, bytes) in contents(index) {
                let file = at.join(path);
                fs::create_dir_all(file.parent().ok_or("a file stands somewhere")?)?;
                fs::write(file, bytes)?;
            }
            trees.push(at);
        }
        let bare = HostDir::new(&trees[0]);
        let name = format!("union of directories/{}", counted(layers));
        lookups(
            criterion,
            table,
            (&name, |work| wall(work)),
            Image::new(trees),
            bare,
        )?;
    }
    Ok(())
}

/// How a row measures its work.
type Time = fn(&mut dyn FnMut() -> Outcome<()>) -> Outcome<Duration>;

fn lookups(
    criterion: &mut Criterion,
    table: &mut Table,
    (name, time): (&str, Time),
    image: Image,
    bare: impl Loader,
) -> Outcome<()> {
    let path = &Path::new(FOUND)?;
    let rounds = Rounds::new(
        |times| {
            time(&mut || {
                repeat(times, || {
                    std::hint::black_box(block_on(image.open(path))?);
                    Ok(())
                })
            })
        },
        |times| {
            time(&mut || {
                repeat(times, || {
                    std::hint::black_box(block_on(bare.open(path))?);
                    Ok(())
                })
            })
        },
    );
    table.row(criterion, name, "one loader", None, rounds);
    Ok(())
}

fn tree(index: usize) -> Outcome<Memory> {
    Ok(Memory::files(contents(index))?)
}

/// The lowest layer has what is looked up, the others what is beside it.
fn contents(index: usize) -> Vec<(String, String)> {
    let found = match index {
        0 => FOUND.to_owned(),
        _ => format!("usr/lib/some/other-{index}.wasm"),
    };
    let own = format!("etc/{index}");
    [found, own, "etc/motd".into()]
        .map(|path| (path, index.to_string()))
        .into()
}

fn counted(layers: usize) -> String {
    match layers {
        1 => "1 layer".into(),
        many => format!("{many} layers"),
    }
}

/// One file, read through, beside the hash of its bytes.
fn verified(criterion: &mut Criterion, table: &mut Table) -> Outcome<()> {
    let bytes = &files::bytes(FILE);
    let (root, held) = &Held::pack(&[("file".into(), bytes.clone().into())]);
    let directory = tempfile::tempdir()?;
    let plain = &directory.path().join("plain");
    fs::create_dir(plain)?;
    fs::write(plain.join("file"), bytes)?;
    let fetching = || Blocks::builder().memory(KEPT).source(held.clone());
    let disk = Disk::open(directory.path().join("blocks"), u64::MAX)?;
    let cached = || Blocks::builder().memory(KEPT).disk(disk.clone()).build();
    let image = &Image::from(plain);
    let pinned = &image.pin(root.clone());

    // Each is read once beforehand, which fills the disk cache and hashes what
    // is pinned.
    read(root, &fetching().disk(disk.clone()).build())?;
    read_image(pinned)?;

    let digest = || {
        std::hint::black_box(Sha256::digest(bytes));
        Ok(())
    };
    let hash = |times| wall(|| repeat(times, digest));
    let hash_file = |times| {
        let mut buffer = vec![0; 1 << 20];
        wall(|| {
            repeat(times, || {
                let mut hash = Sha256::new();
                files::read(&plain.join("file"), &mut buffer, |piece| hash.update(piece))?;
                std::hint::black_box(hash.finalize());
                Ok(())
            })
        })
    };
    // Nothing of it leaves this thread.
    let fetched = |times| cpu(|| repeat(times, || read(root, &fetching().build())));
    let hash_here = |times| cpu(|| repeat(times, digest));
    let from_disk = |times| wall(|| repeat(times, || read(root, &cached())));
    let from_image = |times| wall(|| repeat(times, || read_image(pinned)));
    let mut row = |name, peer, goal, rounds| table.row(criterion, name, peer, goal, rounds);

    let rounds = Rounds::new(fetched, hash_here);
    row("verified/fetched", HASH, HASH_GOAL, rounds);
    let rounds = Rounds::new(from_disk, hash);
    row("verified/disk cache", HASH, HASH_GOAL, rounds);
    let rounds = Rounds::new(from_disk, hash_file);
    row("verified/disk cache, read", "read and sha2", None, rounds);
    let rounds = Rounds::new(from_image, hash);
    row("verified/pinned directory", HASH, HASH_GOAL, rounds);
    let rounds = Rounds::new(from_image, hash_file);
    row("verified/pinned, read", "read and sha2", None, rounds);
    Ok(())
}

/// Reads the file in the tree at `root` through.
fn read(root: &Cid, blocks: &Blocks) -> Outcome<()> {
    let loader = Ipfs::new(root.clone().into(), blocks);
    block_on(async {
        let ww_loader::Node::File(file) = loader.open(&Path::new("file")?).await? else {
            return Err("a file".into());
        };
        for offset in (0..file.len()).step_by(READ) {
            std::hint::black_box(file.read_at(offset, READ).await?);
        }
        Ok(())
    })
}

fn read_image(image: &Image) -> Outcome<()> {
    block_on(async {
        let Node::File(file) = image.open(&Path::new("file")?).await? else {
            return Err("a file".into());
        };
        for offset in (0..file.len()).step_by(READ) {
            std::hint::black_box(file.read_at(offset, READ).await?);
        }
        Ok(())
    })
}

/// The CID of a directory of 1 GiB.
fn cid(criterion: &mut Criterion, table: &mut Table) {
    // Made only where the filter lets the row run.
    let made = &OnceCell::new();
    let files = move || -> Outcome<&Files> {
        if made.get().is_none() {
            let _ = made.set(Files::gibibyte()?);
        }
        Ok(made.get().ok_or("it was made")?)
    };
    let rounds = Rounds::new(
        |times| {
            let path = files()?.path();
            wall(|| {
                repeat(times, || {
                    std::hint::black_box(block_on(Image::from(path).cid())?);
                    Ok(())
                })
            })
        },
        |times| {
            let files = files()?;
            wall(|| repeat(times, || files.hash()))
        },
    );
    table.row(criterion, "cid/1 GiB", "read and sha2", None, rounds);
}

/// A cell of an image whose blocks were had before, beside the same image in a
/// directory. Its component is compiled; the image itself is a new one each
/// time.
fn warm(criterion: &mut Criterion, table: &mut Table) -> Outcome<()> {
    let runtime = &Runtime::new()?;
    let path = &example_images::path("hello");
    let (root, held) = Held::pack(&files::all(path)?);
    let cid = block_on(Image::from(path).cid())?;
    assert_eq!(root, cid, "the same image by another way");
    let directory = tempfile::tempdir()?;
    let disk = Disk::open(directory.path().join("blocks"), u64::MAX)?;
    let fresh = || Blocks::builder().disk(disk.clone()).build();
    let known = Blocks::builder().disk(disk.clone()).source(held).build();
    let run = |image: Image| cells::spawned(Builder::new().runtime(runtime).image(image));
    // From here on nothing is asked for any more.
    run(by_cid(&root, &known))?;

    let from_disk = |times| wall(|| repeat(times, || run(Image::from(path))));
    for (name, blocks) in [
        (
            "warm start/memory",
            &(|| known.clone()) as &dyn Fn() -> Blocks,
        ),
        ("warm start/disk cache", &fresh),
    ] {
        let by_cid = |times| wall(|| repeat(times, || run(by_cid(&root, &blocks()))));
        let rounds = Rounds::new(by_cid, from_disk);
        table.row(criterion, name, "image in a directory", None, rounds);
    }
    let pinned = |times| wall(|| repeat(times, || run(Image::from(path).pin(root.clone()))));
    let rounds = Rounds::new(pinned, from_disk);
    let name = "warm start/pinned directory";
    table.row(criterion, name, "image in a directory", None, rounds);
    Ok(())
}

fn by_cid(root: &Cid, blocks: &Blocks) -> Image {
    let loader = Ipfs::new(root.clone().into(), blocks);
    Image::from(Layer::verified(root.clone(), loader))
}

fn repeat(times: u64, mut work: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    (0..times).try_for_each(|_| work())
}
