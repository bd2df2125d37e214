//! How deep directories are nested, whichever way they came where they are.

use super::super::tree::{Number, Tree};
use super::{create, scratch};
use crate::wasi::filesystem::scratch::Open;
use crate::wasi::wit::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags};

const DEEPEST: usize = 256;

fn open(base: &Open, path: &str) -> Open {
    let dir = base.open_at(path, true, OpenFlags::DIRECTORY, DescriptorFlags::READ);
    dir.expect("it is there")
}

/// Makes `name` in `base` and as many directories as `height` below it, one in
/// the other, and opens all of them.
fn chain(base: &Open, name: &str, height: usize) -> Vec<Open> {
    base.create_directory_at(name).expect("there is room");
    let mut dirs = vec![open(base, name)];
    for at in 0..height {
        dirs[at].create_directory_at("d").expect("there is room");
        dirs.push(open(&dirs[at], "d"));
    }
    dirs
}

/// Holds the height that each directory has against what stands in it, and
/// answers that of `dir`.
pub(super) fn height(tree: &Tree, dir: Number) -> usize {
    let dir = tree.get(dir).expect("it is there");
    let dir = dir.dir().expect("it is a directory");
    let below = dir.names.values().copied();
    let dirs = below.filter(|number| tree.get(*number).is_ok_and(|node| node.is_dir()));
    let height = dirs.map(|number| 1 + self::height(tree, number)).max();
    assert_eq!(usize::from(dir.height()), height.unwrap_or(0));
    height.unwrap_or(0)
}

#[test]
fn a_directory_is_not_moved_deeper_than_one_can_be_made() {
    for (depth, height) in [
        (100, 155),
        (100, 156),
        (255, 0),
        (256, 0),
        (1, 254),
        (1, 255),
    ] {
        for over in [false, true] {
            let (budget, root) = scratch(u64::MAX);
            let deep = chain(&root, "deep", depth - 1);
            let there = &deep[depth - 1];
            let moved = chain(&root, "moved", height);
            if over && depth < DEEPEST {
                there.create_directory_at("new").expect("there is room");
            }
            let before = budget.used();
            let answer = root.rename_at("moved", there, "new");
            if depth + 1 + height <= DEEPEST {
                assert_eq!(answer, Ok(()), "{depth} {height} {over}");
                let last = moved[height].create_directory_at("more");
                let fits = depth + 1 + height < DEEPEST;
                assert_eq!(last.is_ok(), fits, "{depth} {height} {over}");
            } else {
                assert_eq!(answer, Err(ErrorCode::NameTooLong), "{depth} {height}");
                assert_eq!(budget.used(), before);
                assert!(root.stat_at("moved", true).is_ok());
                let stays = there.stat_at("new", true).is_ok();
                assert_eq!(stays, over && depth < DEEPEST);
            }
            self::height(&root.scratch.lock(), Tree::ROOT);
        }
    }
}

#[test]
fn what_is_moved_is_as_high_as_it_is_then() {
    let (_, root) = scratch(u64::MAX);
    let deep = chain(&root, "deep", 199);
    let there = &deep[199];
    let moved = chain(&root, "moved", 60);
    // Another of the same height.
    chain(&moved[0], "other", 59);
    for _ in 0..5 {
        assert_eq!(
            root.rename_at("moved", there, "new"),
            Err(ErrorCode::NameTooLong)
        );
        // Within its own it stays as deep.
        assert_eq!(root.rename_at("moved", &root, "renamed"), Ok(()));
        assert_eq!(root.rename_at("renamed", &root, "moved"), Ok(()));
    }
    for height in (55..60).rev() {
        assert_eq!(moved[height].remove_directory_at("d"), Ok(()));
        assert_eq!(
            root.rename_at("moved", there, "new"),
            Err(ErrorCode::NameTooLong)
        );
    }
    // Its height is that of the other, which goes elsewhere.
    assert_eq!(moved[0].rename_at("other", &root, "other"), Ok(()));
    assert_eq!(root.rename_at("moved", there, "new"), Ok(()));
    assert_eq!(
        root.rename_at("other", there, "other"),
        Err(ErrorCode::NameTooLong)
    );
    let all = height(&root.scratch.lock(), Tree::ROOT);
    assert_eq!(all, DEEPEST);
}

#[test]
fn a_file_goes_wherever_there_is_a_directory() {
    let (_, root) = scratch(u64::MAX);
    let deep = chain(&root, "deep", DEEPEST - 1);
    create(&root, "file").expect("there is room");
    assert_eq!(root.rename_at("file", &deep[DEEPEST - 1], "file"), Ok(()));
}
