use std::sync::Arc;

use ww_loader::{File, Loader, Node, Path};

use super::code;
use crate::wasi::wit::filesystem::types::ErrorCode;

/// How many links one path may lead through, as Linux has it.
const LINKS: usize = 40;

/// What stands at a path, and that path from the root with no link on the way.
pub(super) struct Place {
    pub(super) path: Path,
    pub(super) node: Found,
}

pub(super) enum Found {
    File(Arc<dyn File>),
    Dir,
    /// A link that was not to be followed, and where it leads from the root.
    Link(Path),
}

/// Follows `path` from the directory `base`, which it cannot leave: neither by
/// `..`, nor by an absolute path, nor through a link.
///
/// A path without links and `..` asks `root` once.
pub(super) async fn resolve(
    root: &dyn Loader,
    base: &Path,
    path: &str,
    follow: bool,
) -> Result<Place, ErrorCode> {
    let mut walk = Walk::new(base, path)?;
    loop {
        let run = walk.run();
        if run.is_empty() {
            match walk.left.pop() {
                Some(Step::Up) => walk.climb()?,
                Some(_) => {}
                None => {
                    return Ok(Place {
                        path: walk.here,
                        node: Found::Dir,
                    });
                }
            }
            continue;
        }
        let there = join(&walk.here, &run)?;
        let follow = follow || !walk.left.is_empty();
        match root.open(&there).await {
            Ok(Node::Dir(_)) => walk.here = there,
            Ok(Node::Link(target)) if follow => walk.jump(&target)?,
            Ok(Node::Link(target)) => {
                return Ok(Place {
                    path: there,
                    node: Found::Link(target),
                });
            }
            // Whatever is left, if only a trailing slash, needs a directory.
            Ok(Node::File(_)) if !walk.left.is_empty() => return Err(ErrorCode::NotDirectory),
            Ok(Node::File(file)) => {
                return Ok(Place {
                    path: there,
                    node: Found::File(file),
                });
            }
            Ok(_) => return Err(ErrorCode::Unsupported),
            Err(error) => match error.not_directory() {
                None => return Err(code(&error)),
                Some(at) => {
                    let target = link(root, at).await?;
                    let depth = at.components().count() - walk.here.components().count();
                    walk.left.extend(into(run[depth..].iter().rev().cloned()));
                    walk.jump(&target)?;
                }
            },
        }
    }
}

/// Where the link at `at` leads, if one stands there.
async fn link(root: &dyn Loader, at: &Path) -> Result<Path, ErrorCode> {
    match root.open(at).await {
        Ok(Node::Link(target)) => Ok(target),
        Ok(_) => Err(ErrorCode::NotDirectory),
        Err(error) => Err(code(&error)),
    }
}

enum Step {
    /// Nothing, but what stands before it must be a directory.
    Here,
    Up,
    Into(String),
}

struct Walk<'a> {
    base: &'a Path,
    /// A directory at or below `base`, with no link on the way.
    here: Path,
    /// What is to be followed from there, the next step last.
    left: Vec<Step>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(base: &'a Path, path: &str) -> Result<Self, ErrorCode> {
        if path.is_empty() {
            return Err(ErrorCode::NoEntry);
        }
        if path.starts_with('/') {
            return Err(ErrorCode::NotPermitted);
        }
        if path.contains('\0') {
            return Err(ErrorCode::Invalid);
        }
        if path.len() > Path::MAX_LEN {
            return Err(ErrorCode::NameTooLong);
        }
        let steps = path.rsplit('/').map(|name| match name {
            "" | "." => Step::Here,
            ".." => Step::Up,
            name => Step::Into(name.into()),
        });
        Ok(Self {
            base,
            here: base.clone(),
            left: steps.collect(),
            links: 0,
        })
    }

    /// Takes the names up to the next `..` or the end. A directory is left to
    /// be told by what stays behind them.
    fn run(&mut self) -> Vec<String> {
        let mut run = Vec::new();
        while let Some(step) = self.left.pop() {
            match step {
                Step::Into(name) => run.push(name),
                Step::Here if !self.left.is_empty() => {}
                step => {
                    self.left.push(step);
                    break;
                }
            }
        }
        run
    }

    fn climb(&mut self) -> Result<(), ErrorCode> {
        if self.here == *self.base {
            return Err(ErrorCode::NotPermitted);
        }
        let parent = self.here.parent().ok_or(ErrorCode::NotPermitted)?;
        self.here = parent;
        Ok(())
    }

    /// Goes on from where a link leads.
    fn jump(&mut self, target: &Path) -> Result<(), ErrorCode> {
        self.links += 1;
        if self.links > LINKS {
            return Err(ErrorCode::Loop);
        }
        let below = target.below(self.base).ok_or(ErrorCode::NotPermitted)?;
        self.here = self.base.clone();
        self.left.extend(into(below.components().rev()));
        Ok(())
    }
}

fn into(names: impl Iterator<Item = impl Into<String>>) -> impl Iterator<Item = Step> {
    names.map(|name| Step::Into(name.into()))
}

fn join(here: &Path, names: &[String]) -> Result<Path, ErrorCode> {
    here.resolve(&names.join("/"))
        .map_err(|_| ErrorCode::NameTooLong)
}
