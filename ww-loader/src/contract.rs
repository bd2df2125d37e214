//! The suite every loader must pass, for the loaders here and for one's own.
//!
//! Put [`SAMPLE`] into the source of a loader, then [`check`] the loader:
//!
//! ```
//! use ww_loader::contract::{self, Content};
//! use ww_loader::{Memory, Path};
//!
//! let mut memory = Memory::new();
//! for (path, content) in contract::SAMPLE {
//!     match content {
//!         Content::File(bytes) => memory.file(&Path::new(path)?, *bytes)?,
//!         Content::Link(target) => memory.link(&Path::new(path)?, target)?,
//!     }
//! }
//! futures_lite::future::block_on(contract::check(&memory, contract::SAMPLE))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use futures::StreamExt;

use crate::{Kind, Link, Loader, Node, Path};

/// What stands at a path of a sample.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// A file of these bytes.
    File(&'static [u8]),
    /// A symbolic link, with its target as written.
    Link(&'static str),
}

/// How a loader breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {path}: {rule}, but {seen}")]
pub struct Violation {
    /// Where.
    pub path: Path,
    /// What the contract says.
    pub rule: &'static str,
    /// What the loader did.
    pub seen: String,
}

/// A tree with the shapes that loaders get wrong. Loaders of sources without
/// links leave those out.
pub const SAMPLE: &[(&str, Content)] = &[
    ("bin/main.wasm", Content::File(b"\0asm\x0d\0\x01\0")),
    ("empty", Content::File(b"")),
    ("etc/a b/...", Content::File(b"dots and spaces")),
    ("etc/.hidden", Content::File(b"hidden")),
    ("etc/\u{e9}\u{4e2d}\\n", Content::File(b"beyond ASCII")),
    (
        "etc-too",
        Content::File(b"sorts between etc and what is in it"),
    ),
    ("large", Content::File(&LARGE)),
    ("a/b/c/d/e/f", Content::File(b"deep")),
    ("a/up", Content::Link("../etc/.hidden")),
    ("a/absolute", Content::Link("/empty")),
    ("a/nowhere", Content::Link("b/none")),
    ("a/itself", Content::Link("itself")),
    ("a/root", Content::Link("..")),
    ("a/b/dir", Content::Link("./c//d/")),
];

static LARGE: [u8; 300_001] = large();

/// Checks that `loader` holds exactly `sample` and keeps the contract of
/// [`Loader`].
///
/// # Errors
///
/// The first [`Violation`] found.
pub async fn check(loader: &dyn Loader, sample: &[(&str, Content)]) -> Result<(), Violation> {
    let mut dirs = BTreeMap::from([(Path::root(), BTreeSet::new())]);
    for (text, content) in sample {
        let path = expect(&Path::root(), "the sample holds paths", Path::new(text))?;
        for depth in 0..path.components().count() {
            let here = path.prefix(depth + 1);
            let kind = match content {
                _ if here != path => Kind::Dir,
                Content::File(_) => Kind::File,
                Content::Link(_) => Kind::Link,
            };
            let name = here.name().unwrap_or_default().to_owned();
            dirs.entry(path.prefix(depth))
                .or_default()
                .insert((name, kind));
        }
        match content {
            Content::File(bytes) => file(loader, &path, bytes).await?,
            Content::Link(target) => link(loader, &path, target).await?,
        }
        barrier(loader, &path).await?;
    }
    for (path, entries) in &dirs {
        dir(loader, path, entries).await?;
        absence(loader, path).await?;
    }
    Ok(())
}

async fn file(loader: &dyn Loader, path: &Path, bytes: &[u8]) -> Result<(), Violation> {
    let node = expect(path, "a file can be opened", loader.open(path).await)?;
    let Node::File(file) = node else {
        return broken(path, "a file opens as a file", node);
    };
    if file.len() != bytes.len() as u64 {
        return broken(path, "the length is that of the bytes", file.len());
    }
    let (len, end) = (bytes.len(), bytes.len() as u64);
    let ranges = [
        (0, len),
        (0, 0),
        (0, usize::MAX),
        (end / 2, 1),
        (end / 3, len),
        (end.saturating_sub(1), 2),
        (end, 1),
        (end + 1, 1),
        (u64::MAX, usize::MAX),
    ];
    for (offset, count) in ranges {
        let start = usize::try_from(offset).unwrap_or(len).min(len);
        let wanted = &bytes[start..start.saturating_add(count).min(len)];
        let read = file.read_at(offset, count).await;
        let read = expect(path, "any range can be read", read)?;
        if read != wanted {
            let seen = format!("{} bytes for {count} at {offset}", read.len());
            return broken(path, "a range is read whole and right", seen);
        }
    }
    Ok(())
}

async fn link(loader: &dyn Loader, path: &Path, target: &str) -> Result<(), Violation> {
    let parent = path.parent().unwrap_or_else(Path::root);
    let link = expect(
        path,
        "the sample's links stay inside",
        Link::new(&parent, target),
    )?;
    match expect(path, "a link can be opened", loader.open(path).await)? {
        Node::Link(seen) if seen == link => Ok(()),
        Node::Link(seen) if seen.target() == link.target() => {
            broken(path, "a link keeps the text it is written with", seen)
        }
        node => broken(path, "a link gives its target from the root", node),
    }
}

async fn dir(
    loader: &dyn Loader,
    path: &Path,
    wanted: &BTreeSet<(String, Kind)>,
) -> Result<(), Violation> {
    let node = expect(path, "a directory can be opened", loader.open(path).await)?;
    let Node::Dir(mut entries) = node else {
        return broken(path, "a directory opens as a directory", node);
    };
    let mut seen = BTreeSet::new();
    while let Some(entry) = entries.next().await {
        let entry = expect(path, "a directory can be listed", entry)?;
        if !seen.insert((entry.name, entry.kind)) {
            return broken(path, "each name is listed once", seen);
        }
    }
    match seen == *wanted {
        true => Ok(()),
        false => broken(path, "exactly what is in a directory is listed", seen),
    }
}

async fn absence(loader: &dyn Loader, dir: &Path) -> Result<(), Violation> {
    for name in ["absent", "absent/below", "Absent"] {
        let path = expect(dir, "the path is short enough", dir.resolve(name))?;
        match loader.open(&path).await {
            Err(error) if error.is_not_found() && error.not_directory().is_none() => {}
            answer => return broken(&path, "what is absent is not found", answer),
        }
    }
    Ok(())
}

async fn barrier(loader: &dyn Loader, at: &Path) -> Result<(), Violation> {
    for below in ["x", "x/y"] {
        let path = expect(at, "the path is short enough", at.resolve(below))?;
        match loader.open(&path).await {
            Err(error) if error.not_directory() == Some(at) && !error.is_not_found() => {}
            answer => {
                let rule = "below a file or link the error is not-a-directory and names it";
                return broken(&path, rule, answer);
            }
        }
    }
    Ok(())
}

fn expect<T, E: Debug>(
    path: &Path,
    rule: &'static str,
    result: Result<T, E>,
) -> Result<T, Violation> {
    result.or_else(|error| broken(path, rule, error))
}

fn broken<T>(path: &Path, rule: &'static str, seen: impl Debug) -> Result<T, Violation> {
    Err(Violation {
        path: path.clone(),
        rule,
        seen: format!("{seen:?}"),
    })
}

/// Bytes that differ at every distance at which loaders cut.
const fn large() -> [u8; 300_001] {
    let mut bytes = [0; 300_001];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
}
