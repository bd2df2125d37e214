use std::sync::Arc;
use std::time::SystemTime;

use super::super::times::Times;
use super::node::{NODE, Node};
use super::*;
use crate::cell::{Limits, Outcome, Shared, Sources};
use crate::clock::System;
use crate::wasi::CHUNK;
use crate::wasi::wit::clocks::wall_clock::Datetime;
use crate::wasi::wit::filesystem::types::{
    DescriptorFlags, ErrorCode, MetadataHashValue, NewTimestamp, OpenFlags,
};

mod depth;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod model;

const WRITE: DescriptorFlags = DescriptorFlags::WRITE;
const PAGE: u64 = pages::PAGE as u64;

fn scratch(cap: u64) -> (Budget, Open) {
    let limits = Limits {
        scratch: cap,
        ..Limits::default()
    };
    let (_, outcome) = Outcome::new();
    let cell = Shared::new(None, Sources::default(), false, &limits, outcome);
    let budget = Budget::new(Arc::new(cell));
    let scratch = Scratch::new(0, budget.clone(), Arc::new(System::default()));
    (budget, scratch.root())
}

fn create(root: &Open, path: &str) -> Result<Open, ErrorCode> {
    root.open_at(path, true, OpenFlags::CREATE, WRITE)
}

/// What is left of `budget` is at least `bytes`, and no more than a name more.
fn used(budget: &Budget, bytes: u64) -> bool {
    (bytes..bytes + 512).contains(&budget.used())
}

#[test]
fn empty_files_directories_and_names_are_charged() {
    assert!(NODE as usize >= 2 * size_of::<Node>() + 64);
    type Make = fn(&Open, &str) -> Result<(), ErrorCode>;
    let makes: [(&str, Make); 4] = [
        ("file", |root, path| create(root, path).map(drop)),
        ("directory", |root, path| root.create_directory_at(path)),
        ("link", |root, path| root.symlink_at("target", path)),
        ("name", |root, path| {
            if path == "0" {
                return create(root, path).map(drop);
            }
            root.link_at("0", root, path)
        }),
    ];
    for (what, make) in makes {
        let (budget, root) = scratch(100_000);
        let made = (0..10_000).map(|name| make(&root, &name.to_string()));
        let made: Vec<_> = made.take_while(|made| made.is_ok()).collect();
        assert!(made.len() < 1000, "{} of {what}", made.len());
        let more = make(&root, "more than there is room for");
        assert_eq!(more, Err(ErrorCode::InsufficientSpace), "{what}");
        assert!(budget.used() <= 100_000);
    }
}

#[test]
fn holes_are_charged_and_what_fails_changes_nothing() {
    let (budget, root) = scratch(10 * PAGE);
    let file = create(&root, "f").expect("there is room");
    file.set_size(8 * PAGE + 1).expect("there is room");
    assert!(used(&budget, 9 * PAGE + NODE));
    let before = budget.used();
    let (too_much, too_far) = (ErrorCode::InsufficientSpace, ErrorCode::FileTooLarge);
    let (nowhere, last) = (ErrorCode::Invalid, i64::MAX as u64);
    assert_eq!(file.set_size(1 << 40), Err(too_much));
    assert_eq!(file.set_size(last + 1), Err(nowhere));
    assert_eq!(file.write(&[1], 1 << 40), Err(too_much));
    assert_eq!(file.write(&[1; 2], last), Err(too_far));
    assert_eq!(file.write(&[1; 2], last + 1), Err(nowhere));
    assert_eq!(file.write(&[], u64::MAX), Err(nowhere));
    assert_eq!(file.write(&[1; 9000], 8 * PAGE), Err(too_much));
    assert_eq!(file.append(&[1; 9000]), Err(too_much));
    assert_eq!(
        create(&root, "g").map(|_| ()).and(file.set_size(9 * PAGE)),
        Ok(())
    );
    assert_eq!(file.set_size(8 * PAGE + 1), Ok(()));
    root.unlink_file_at("g").expect("it is there");
    assert_eq!(budget.used(), before);
    assert_eq!(file.stat().map(|stat| stat.size), Ok(8 * PAGE + 1));
    // Filling the hole costs nothing more.
    assert_eq!(file.write(&[1; 9000], 0), Ok(9000));
    assert_eq!(budget.used(), before);
    assert_eq!(file.write(&[2; 2 * CHUNK], 0), Err(too_much));
}

#[test]
fn a_write_is_whole_however_long_it_is() {
    let (_, root) = scratch(1 << 20);
    let file = create(&root, "f").expect("there is room");
    let (bytes, len) = ([1; 3 * CHUNK], 3 * CHUNK as u64);
    assert_eq!(file.write(&bytes, 7), Ok(len));
    assert_eq!(file.stat().map(|stat| stat.size), Ok(len + 7));
    let more = file.write(&bytes, (1 << 20) - len);
    assert_eq!(more, Err(ErrorCode::InsufficientSpace));
    assert_eq!(file.stat().map(|stat| stat.size), Ok(len + 7));
}

#[test]
fn a_file_without_a_name_is_charged_until_it_is_closed() {
    let (budget, root) = scratch(1 << 20);
    let file = create(&root, "f").expect("there is room");
    let again = file.again();
    file.write(&[1; 9000], 0).expect("there is room");
    root.unlink_file_at("f").expect("it is there");
    assert!(used(&budget, 3 * PAGE + NODE));
    assert_eq!(
        again.stat().map(|stat| (stat.size, stat.link_count)),
        Ok((9000, 0))
    );
    drop(file);
    assert!(used(&budget, 3 * PAGE + NODE));
    drop(again);
    assert_eq!(budget.used(), 0);

    let open = |path| root.open_at(path, true, OpenFlags::DIRECTORY, DescriptorFlags::READ);
    root.create_directory_at("d").expect("there is room");
    let dir = open("d").expect("it is there");
    root.remove_directory_at("d").expect("it is empty");
    assert_eq!(create(&dir, "f").map(|_| ()), Err(ErrorCode::NoEntry));
    assert_eq!(dir.create_directory_at("x"), Err(ErrorCode::NoEntry));
    assert_eq!(dir.read_directory().count(), 0);
    assert_eq!(budget.used(), 0);

    // What it stood in is gone as well.
    root.create_directory_at("d").expect("there is room");
    root.create_directory_at("d/e").expect("there is room");
    root.create_directory_at("f").expect("there is room");
    let dir = open("d/e").expect("it is there");
    root.remove_directory_at("d/e").expect("it is empty");
    root.remove_directory_at("d").expect("it is empty");
    assert_eq!(dir.create_directory_at("x"), Err(ErrorCode::NoEntry));
    assert_eq!(root.rename_at("f", &dir, "f"), Err(ErrorCode::NoEntry));
}

#[test]
fn nesting_names_and_links_are_bounded() {
    let (_, root) = scratch(u64::MAX);
    let mut here = root.again();
    let mut depth = 0;
    let refused = loop {
        if let Err(code) = here.create_directory_at("d") {
            break code;
        }
        let flags = DescriptorFlags::READ;
        here = here
            .open_at("d", true, OpenFlags::empty(), flags)
            .expect("it is there");
        depth += 1;
        assert!(depth < 1000);
    };
    assert_eq!(refused, ErrorCode::NameTooLong);
    assert_eq!(create(&here, "f").map(|_| ()), Ok(()));
    let long = |count| "n".repeat(count);
    assert_eq!(root.create_directory_at(&long(255)), Ok(()));
    assert_eq!(
        root.create_directory_at(&long(256)),
        Err(ErrorCode::NameTooLong)
    );
    assert_eq!(
        root.create_directory_at(&"a/".repeat(3000)),
        Err(ErrorCode::NameTooLong)
    );
    assert_eq!(
        root.symlink_at(&"a/".repeat(3000), "s"),
        Err(ErrorCode::NameTooLong)
    );
    // Each link doubles the way.
    root.symlink_at("d", "l0").expect("there is room");
    for link in 1..60 {
        let before = link - 1;
        let target = format!("l{before}/../l{before}");
        root.symlink_at(&target, &format!("l{link}"))
            .expect("there is room");
    }
    assert_eq!(root.stat_at("l59", true).map(|_| ()), Err(ErrorCode::Loop));
}

#[test]
fn nothing_leads_out() {
    let (_, root) = scratch(1 << 20);
    root.create_directory_at("d").expect("there is room");
    let dir = root.open_at("d", true, OpenFlags::DIRECTORY, DescriptorFlags::READ);
    let dir = dir.expect("it is there");
    create(&root, "secret").expect("there is room");
    assert_eq!(dir.symlink_at("../secret", "out"), Ok(()));
    let denied = Err(ErrorCode::NotPermitted);
    assert_eq!(dir.symlink_at("/secret", "absolute"), denied);
    assert_eq!(root.link_at("d", &root, "e"), denied);
    for path in [
        "..",
        "../secret",
        "/secret",
        "out",
        "x/../..",
        "./.././d/../secret",
    ] {
        let found = dir.stat_at(path, true).map(|_| ());
        let expected = if path.starts_with('x') {
            ErrorCode::NoEntry
        } else {
            ErrorCode::NotPermitted
        };
        assert_eq!(found, Err(expected), "{path}");
    }
    assert_eq!(root.stat_at("d/out", true).map(|_| ()), Ok(()));
}

#[test]
fn a_listing_goes_on_whatever_comes_and_goes() {
    let (_, root) = scratch(1 << 20);
    for name in ["b", "d", "f", "h"] {
        create(&root, name).expect("there is room");
    }
    let mut entries = root.again().read_directory().map(|entry| entry.name);
    assert_eq!(entries.next().as_deref(), Some("b"));
    assert_eq!(entries.next().as_deref(), Some("d"));
    for name in ["b", "d", "f"] {
        root.unlink_file_at(name).expect("it is there");
    }
    create(&root, "a").expect("there is room");
    assert_eq!(entries.collect::<Vec<_>>(), ["h"]);
}

#[test]
fn a_node_is_told_from_all_others_for_ever() {
    let (budget, root) = scratch(1 << 20);
    let one = create(&root, "f").expect("there is room");
    let again = create(&root, "f").expect("it is there");
    assert!(one.is_same(&again));
    root.rename_at("f", &root, "g").expect("it is there");
    let hash = |hash: MetadataHashValue| (hash.lower, hash.upper);
    assert_eq!(root.hash_at("g", true).map(hash), Ok(hash(one.hash())));
    root.unlink_file_at("g").expect("it is there");
    let next = create(&root, "f").expect("there is room");
    assert!(!one.is_same(&next) && hash(one.hash()) != hash(next.hash()));

    let other = Scratch::new(1, budget, Arc::new(System::default())).root();
    assert!(!other.is_same(&root) && hash(other.hash()) != hash(root.hash()));
    let (from, to) = (
        root.rename_at("f", &other, "f"),
        root.link_at("f", &other, "f"),
    );
    assert_eq!(
        (from, to),
        (Err(ErrorCode::CrossDevice), Err(ErrorCode::CrossDevice))
    );
}

#[test]
fn a_handle_does_what_it_was_opened_for() {
    let (_, root) = scratch(1 << 20);
    let writes = create(&root, "f").expect("there is room");
    let open = |flags| root.open_at("f", true, OpenFlags::empty(), flags);
    let reads = open(DescriptorFlags::READ).expect("it is there");
    let bad = ErrorCode::BadDescriptor;
    assert_eq!(writes.read(1, 0), Err(bad));
    assert_eq!(reads.write(&[1], 0), Err(bad));
    assert_eq!(reads.set_size(1), Err(ErrorCode::Invalid));
    assert_eq!(reads.dir().err(), Some(ErrorCode::NotDirectory));
    assert_eq!(root.write(&[1], 0), Err(bad));
    assert_eq!(root.read(1, 0), Err(bad));
    assert_eq!(root.set_size(1), Err(bad));
    assert!(open(DescriptorFlags::empty()).is_ok_and(|open| open.read(1, 0).is_ok()));
}

#[test]
fn times_are_as_set() {
    let (_, root) = scratch(1 << 20);
    let times = |seconds, nanoseconds| {
        let stamp = NewTimestamp::Timestamp(Datetime {
            seconds,
            nanoseconds,
        });
        Times::new(SystemTime::now(), stamp, NewTimestamp::NoChange)
    };
    root.create_directory_at("d").expect("there is room");
    let seven = times(6, 1_000_000_008).expect("this is a time");
    root.set_times_at("d", true, seven).expect("it is there");
    let stat = root.stat_at("d", true).expect("it is there");
    let accessed = stat.data_access_timestamp.expect("it has one");
    assert_eq!((accessed.seconds, accessed.nanoseconds), (7, 8));
    assert!(
        stat.data_modification_timestamp
            .expect("it has one")
            .seconds
            > 7
    );
    for (seconds, nanoseconds) in [(u64::MAX, 1_000_000_000), (u64::MAX, 0)] {
        let late = times(seconds, nanoseconds).map(|_| ());
        assert_eq!(late, Err(ErrorCode::Overflow));
    }
}

#[test]
fn links_do_not_make_a_path_longer_than_any_is() {
    let (_, root) = scratch(1 << 20);
    root.create_directory_at("d").expect("it is not there");
    // By itself each leads where it says.
    let (longest, half) = ("d/../".repeat(818), "d/../".repeat(409));
    root.symlink_at(&format!("{longest}d"), "0").expect("new");
    root.symlink_at(&format!("{longest}0"), "1").expect("new");
    root.symlink_at(&format!("{longest}1"), "2").expect("new");
    assert!(root.stat_at(&format!("{longest}d"), true).is_ok());
    assert!(root.stat_at("0", true).is_ok());
    assert!(root.stat_at(&format!("{half}1"), true).is_ok());
    let more = root.stat_at("2", true).map(|_| ());
    assert_eq!(more, Err(ErrorCode::Loop));
}
