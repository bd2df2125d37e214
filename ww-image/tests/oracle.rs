//! CIDs as an independent implementation computes them for the same
//! directories: npm's `ipfs-unixfs-importer`.
//!
//! Without it (`npm ci` in `ww-loader/tests/npm` installs it) the test says so
//! and passes; the same CIDs, recorded, are in `cids.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

mod support;

use std::io::Write;
use std::process::Command;

use futures_lite::future::block_on;
use futures_lite::stream::StreamExt;
use support::{image, known};
use ww_image::{Image, Path, Profile};
use ww_loader::{Loader, LoaderExt, Memory, Node};

const MODULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../ww-loader/tests/npm/node_modules"
);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/cids.mjs");

#[test]
fn another_implementation_computes_the_same_cids() {
    if !std::path::Path::new(MODULES).exists() {
        // Not by `eprintln`, which is silent in a test that passes.
        let line = "SKIPPED the oracle of CIDs: run `npm ci` in ww-loader/tests/npm\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let known = known();
    for tree in &known {
        let at = dir.path().join(tree.name);
        std::fs::create_dir(&at).unwrap();
        block_on(write(&tree.tree, &Path::root(), &at));
    }
    for profile in [Profile::UnixFsV1_2025, Profile::UnixFsV0_2015] {
        let paths = known.iter().map(|tree| dir.path().join(tree.name));
        let output = Command::new("node")
            .arg(SCRIPT)
            .arg(MODULES)
            .arg(profile.name())
            .args(paths.clone())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(theirs.lines().count(), known.len());
        for ((tree, theirs), path) in known.iter().zip(theirs.lines()).zip(paths) {
            for (from, image) in [("memory", image(&tree.tree)), ("disk", Image::from(path))] {
                let ours = block_on(image.hashing().profile(profile).cid()).unwrap();
                assert_eq!(
                    ours.to_string(),
                    theirs,
                    "{} from {from}, {profile}",
                    tree.name
                );
            }
        }
    }
}

/// Writes a tree to disk.
async fn write(tree: &Memory, path: &Path, at: &std::path::Path) {
    let Node::Dir(mut entries) = tree.open(path).await.unwrap() else {
        panic!("{path} is a directory");
    };
    while let Some(entry) = entries.next().await {
        let name = entry.unwrap().name;
        let (path, at) = (path.resolve(&name).unwrap(), at.join(&name));
        match tree.open(&path).await.unwrap() {
            Node::Dir(_) => {
                std::fs::create_dir(&at).unwrap();
                Box::pin(write(tree, &path, &at)).await;
            }
            Node::Link(link) => std::os::unix::fs::symlink(link.text(), at).unwrap(),
            _ => std::fs::write(at, tree.load(&path, u64::MAX).await.unwrap()).unwrap(),
        }
    }
}
