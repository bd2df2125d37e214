//! A chain gives what its first loader has, and goes on only past absence.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use ww_loader::contract::{Content, SAMPLE};
use ww_loader::{
    ChainLoader, Error, Loader, LoaderExt, Memory, Node, Path, PathError, async_trait, contract,
};

/// A source that is out of order.
struct Failing;

#[async_trait]
impl Loader for Failing {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        Err(Error::Io {
            path: path.clone(),
            loader: "failing".into(),
            source: std::io::Error::other("disk on fire"),
        })
    }
}

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn tree(files: &[(&'static str, &'static str)]) -> Memory {
    Memory::files(files.iter().copied()).unwrap()
}

#[test]
fn a_failure_does_not_fall_through() {
    let chain = ChainLoader::new()
        .then(tree(&[("a", "first")]))
        .then(Failing)
        .then(tree(&[("b", "third")]));
    assert_eq!(block_on(chain.load(&path("a"), 9)).unwrap(), "first");
    let error = block_on(chain.open(&path("b"))).unwrap_err();
    assert!(!error.is_not_found());
    let Error::Chain { errors, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(
        errors[..],
        [Error::NotFound { .. }, Error::Io { .. }]
    ));
    assert!(error.to_string().contains("b is not in memory"), "{error}");
    assert!(error.to_string().ends_with("disk on fire"), "{error}");
}

#[test]
fn what_no_loader_has_is_not_found_and_says_who_was_asked() {
    let chain = ChainLoader::new().then(tree(&[])).then(tree(&[]));
    let error = block_on(chain.open(&path("a"))).unwrap_err();
    assert!(error.is_not_found());
    assert!(matches!(error, Error::Chain { errors, .. } if errors.len() == 2));
    let nobody = block_on(ChainLoader::new().open(&path("a"))).unwrap_err();
    assert!(nobody.is_not_found());
}

#[test]
fn a_directory_lists_what_all_loaders_have_there() {
    let list = |chain: &ChainLoader, at: &str| {
        let Node::Dir(entries) = block_on(chain.open(&path(at))).unwrap() else {
            panic!("a directory");
        };
        let entries: Vec<_> = block_on(entries.collect());
        let told = entries.into_iter().map(|entry| match entry {
            Ok(entry) => format!("{} {}", entry.kind, entry.name),
            Err(error) => error.to_string(),
        });
        told.collect::<Vec<_>>()
    };
    let chain = ChainLoader::new()
        .then(tree(&[("etc/a", "1"), ("etc/d/e", "1"), ("f", "1")]))
        .then(tree(&[("etc/d", "2"), ("f/g", "2")]))
        .then(tree(&[("etc/a/x", "3"), ("etc/b", "3"), ("usr/c", "3")]));
    for chain in [chain.clone(), chain.clone().at_once(3)] {
        assert_eq!(block_on(chain.load(&path("usr/c"), 9)).unwrap(), "3");
        let etc = ["file a", "directory d", "file b"];
        assert_eq!(list(&chain, "etc"), etc, "the first one's name counts");
        let root = ["directory etc", "file f", "directory usr"];
        assert_eq!(list(&chain, ""), root);
    }
    let failing = ChainLoader::new()
        .then(tree(&[("a", "1")]))
        .then(Failing)
        .then(tree(&[("b", "3")]));
    let listed = ["file a", ". in failing cannot be read", "file b"];
    assert_eq!(list(&failing, ""), listed);
}

#[test]
fn halves_of_a_tree_are_that_tree() {
    let mut halves = [Memory::new(), Memory::new()];
    for (n, (at, content)) in SAMPLE.iter().enumerate() {
        let half = &mut halves[n % 2];
        match content {
            Content::File(bytes) => half.file(&path(at), *bytes).unwrap(),
            Content::Link(target) => half.link(&path(at), target).unwrap(),
        }
    }
    let [one, other] = halves;
    let chain = ChainLoader::new().then(one).then(other);
    block_on(contract::check(&chain, SAMPLE)).unwrap();
}

#[test]
fn a_file_on_the_way_ends_the_search() {
    let chain = ChainLoader::new()
        .then(tree(&[]))
        .then(tree(&[("a", "file")]))
        .then(tree(&[("a/b", "below")]));
    let error = block_on(chain.open(&path("a/b"))).unwrap_err();
    assert_eq!(error.not_directory(), Some(&path("a")));
}

#[test]
fn load_is_bounded_and_gives_files_only() {
    let memory = tree(&[("dir/file", "12345")]);
    let load = |text, limit| block_on(memory.load(&path(text), limit));
    assert_eq!(load("dir/file", 5).unwrap(), "12345");
    let Error::TooLarge { len, limit, .. } = load("dir/file", 4).unwrap_err() else {
        panic!("over the limit");
    };
    assert_eq!((len, limit), (5, 4));
    assert!(matches!(load("dir", 9), Err(Error::NotFile { .. })));
    assert!(block_on(contract::check(&Failing, &[])).is_err());
}

#[test]
fn a_memory_tree_cannot_contradict_itself() {
    let mut memory = tree(&[("a/b", "1")]);
    let under_file = memory.file(&path("a/b/c"), "2").unwrap_err();
    assert_eq!(under_file.not_directory(), Some(&path("a/b")));
    assert!(matches!(
        memory.file(&path("a"), "2"),
        Err(Error::NotFile { .. })
    ));
    assert!(matches!(
        memory.file(&Path::root(), "2"),
        Err(Error::NotFile { .. })
    ));
    assert!(matches!(
        memory.dir(&path("a/b")),
        Err(Error::NotDirectory { .. })
    ));
    assert!(matches!(
        memory.link(&path("l"), "../out"),
        Err(Error::Link { .. })
    ));
    // However short what it comes to.
    let long = "./".repeat(1 << 20) + "x";
    assert!(matches!(
        memory.link(&path("l"), &long),
        Err(Error::Link {
            source: PathError::TooLong { .. },
            ..
        })
    ));
    assert!(matches!(
        Memory::files([("../a", "")]),
        Err(Error::Name { .. })
    ));
    memory.file(&path("a/b"), "replaced").unwrap();
    memory.dir(&path("a/empty/dir")).unwrap();
    assert_eq!(block_on(memory.load(&path("a/b"), 9)).unwrap(), "replaced");
    assert!(block_on(memory.open(&path("a/empty/dir"))).is_ok());
}
