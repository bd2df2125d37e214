//! Every loader passes the suite, and the suite fails loaders that do not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use futures_lite::future::block_on;
use ww_loader::contract::{Content, SAMPLE, check};
use ww_loader::{ChainLoader, Error, Link, Loader, Memory, Node, Path, async_trait};

fn memory() -> Memory {
    let mut memory = Memory::new();
    for (path, content) in SAMPLE {
        let path = Path::new(path).unwrap();
        match content {
            Content::File(bytes) => memory.file(&path, *bytes).unwrap(),
            Content::Link(target) => memory.link(&path, target).unwrap(),
        }
    }
    memory
}

#[cfg(unix)]
fn host(dir: &std::path::Path) -> ww_loader::HostDir {
    for (path, content) in SAMPLE {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content {
            Content::File(bytes) => std::fs::write(path, bytes).unwrap(),
            Content::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
        }
    }
    ww_loader::HostDir::new(dir)
}

#[test]
fn every_loader_keeps_the_contract() {
    let memory = memory();
    let boxed: Box<dyn Loader> = Box::new(memory.clone());
    let shared: Arc<dyn Loader> = Arc::new(memory.clone());
    let chain = ChainLoader::new().then(Memory::new());
    let mut loaders: Vec<(&str, Arc<dyn Loader>)> = vec![
        ("memory", Arc::new(memory.clone())),
        ("box", Arc::new(boxed)),
        ("arc", Arc::new(shared)),
        (
            "chain of one",
            Arc::new(ChainLoader::new().then(memory.clone())),
        ),
        (
            "chain before another",
            Arc::new(ChainLoader::new().then(memory.clone()).then(chain)),
        ),
    ];
    #[cfg(unix)]
    let dir = tempfile::tempdir().unwrap();
    #[cfg(unix)]
    loaders.push(("host directory", Arc::new(host(dir.path()))));
    for (name, loader) in loaders {
        block_on(check(&loader, SAMPLE)).unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
    block_on(check(&&memory, SAMPLE)).unwrap();
    block_on(check(&ChainLoader::new(), &[])).unwrap();
    block_on(check(&Memory::new(), &[])).unwrap();
}

/// A loader that does right but for one twist.
struct Twisted(
    Memory,
    fn(&Path, Result<Node, Error>) -> Result<Node, Error>,
);

#[async_trait]
impl Loader for Twisted {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        (self.1)(path, self.0.open(path).await)
    }
}

#[test]
fn the_suite_catches_what_loaders_get_wrong() {
    type Twist = fn(&Path, Result<Node, Error>) -> Result<Node, Error>;
    let twists: [(&str, Twist); 5] = [
        ("a link keeps the text it is written with", |_, answer| {
            Ok(match answer? {
                Node::Link(link) => {
                    let text = format!("/{}", link.target().as_str());
                    Node::Link(Link::new(&Path::root(), text).unwrap())
                }
                node => node,
            })
        }),
        ("what is absent is not found", |_, answer| {
            answer.map_err(|error| match error {
                Error::NotFound { path, loader } => Error::Io {
                    path,
                    loader,
                    source: std::io::ErrorKind::NotFound.into(),
                },
                error => error,
            })
        }),
        (
            "below a file or link the error is not-a-directory and names it",
            |path, answer| {
                answer.map_err(|_| Error::NotFound {
                    path: path.clone(),
                    loader: "twisted".into(),
                })
            },
        ),
        ("a file opens as a file", |_, answer| match answer? {
            Node::File(_) => Ok(Node::Link(Link::new(&Path::root(), ".").unwrap())),
            node => Ok(node),
        }),
        (
            "exactly what is in a directory is listed",
            |_, answer| match answer? {
                Node::Dir(_) => Ok(Node::Dir(Box::pin(futures_lite::stream::empty()))),
                node => Ok(node),
            },
        ),
    ];
    for (rule, twist) in twists {
        let broken = block_on(check(&Twisted(memory(), twist), SAMPLE)).unwrap_err();
        assert_eq!(broken.rule, rule);
    }
}
