use super::super::resolve::check;
use super::node::{Body, Node};
use super::tree::{Number, Tree};
use crate::wasi::wit::filesystem::types::ErrorCode;

/// Symbolic links that one path may lead through.
const MOST_LINKS: usize = 40;

/// Steps that one path may take, those through links included: twice what the
/// longest path has by itself. Nothing interrupts a guest on its way.
const MOST_STEPS: usize = 4096;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;

/// What becomes of a symbolic link at a path's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    /// It is meant itself, unless the path ends like a directory's.
    Keep,
    /// Its name is meant, whatever the path ends like.
    Name,
}

/// Where a path leads.
pub(super) enum Place {
    /// To a directory that the path does not name: `.`, or one that ends in
    /// `..`.
    Unnamed(Number),
    Named(Named),
}

/// A name in a directory, and what stands there.
pub(super) struct Named {
    pub(super) dir: Number,
    pub(super) name: Box<str>,
    pub(super) found: Option<Number>,
    /// The path ends like a directory's.
    pub(super) slash: bool,
}

enum Step<'a> {
    /// The end of a path that ends in `/`.
    Slash,
    /// The end of a path that ends in `.` or `./`.
    Dot,
    Up,
    Into(&'a str),
}

/// The steps of `path`, the first one last.
fn steps(path: &str) -> Result<Vec<Step<'_>>, ErrorCode> {
    check(path)?;
    let names = path.trim_end_matches('/');
    let slash = (names.len() < path.len()).then_some(Step::Slash);
    let steps = names.rsplit('/').enumerate();
    let steps = steps.filter_map(|(from_end, name)| match name {
        "." if from_end == 0 => Some(Step::Dot),
        "" | "." => None,
        ".." => Some(Step::Up),
        name => Some(Step::Into(name)),
    });
    Ok(slash.into_iter().chain(steps).collect())
}

impl Tree {
    /// Where `path` leads from the directory `base`, which it cannot leave:
    /// neither by `..`, nor as an absolute path, nor through a link.
    pub(super) fn walk(&self, base: Number, path: &str, last: Last) -> Result<Place, ErrorCode> {
        let mut left = steps(path)?;
        let (mut here, mut below, mut links) = (base, 0_usize, 0);
        for _ in 0..MOST_STEPS {
            let dir = self.get(here)?.dir()?;
            let name = match left.pop() {
                None => return Ok(Place::Unnamed(here)),
                Some(Step::Slash | Step::Dot) => continue,
                Some(Step::Up) => {
                    below = below.checked_sub(1).ok_or(ErrorCode::NotPermitted)?;
                    here = dir.parent;
                    continue;
                }
                Some(Step::Into(name)) => name,
            };
            if name.len() > LONGEST_NAME {
                return Err(ErrorCode::NameTooLong);
            }
            // One of a link's target is the path's end no longer.
            while let [_, .., Step::Slash] = left[..] {
                left.pop();
            }
            let slash = matches!(left[..], [Step::Slash]);
            let ends = slash || left.is_empty();
            let found = dir.names.get(name).copied();
            let node = found.map(|number| self.get(number)).transpose()?;
            let follow = !ends || last == Last::Follow || (slash && last == Last::Keep);
            match node.map(|node| &node.body) {
                Some(Body::Link(target)) if follow => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(ErrorCode::Loop);
                    }
                    left.extend(steps(target)?);
                }
                _ if ends => {
                    return Ok(Place::Named(Named {
                        dir: here,
                        name: name.into(),
                        found,
                        slash,
                    }));
                }
                None => return Err(ErrorCode::NoEntry),
                Some(Body::Dir(_)) => {
                    here = found.ok_or(ErrorCode::NoEntry)?;
                    below += 1;
                }
                Some(_) => return Err(ErrorCode::NotDirectory),
            }
        }
        Err(ErrorCode::Loop)
    }

    /// What stands at `path`, which must be there.
    pub(super) fn find(
        &self,
        base: Number,
        path: &str,
        follow: bool,
    ) -> Result<(Number, &Node), ErrorCode> {
        let last = if follow { Last::Follow } else { Last::Keep };
        let number = match self.walk(base, path, last)? {
            Place::Unnamed(dir) => dir,
            Place::Named(named) => named.existing(self)?,
        };
        Ok((number, self.get(number)?))
    }

    /// The name that `path` ends with. `unnamed` is the code where it has none.
    pub(super) fn named(
        &self,
        base: Number,
        path: &str,
        unnamed: ErrorCode,
    ) -> Result<Named, ErrorCode> {
        match self.walk(base, path, Last::Name)? {
            Place::Unnamed(_) => Err(unnamed),
            Place::Named(named) => Ok(named),
        }
    }
}

impl Named {
    /// What stands there, a directory if the path ends like one's.
    pub(super) fn existing(&self, tree: &Tree) -> Result<Number, ErrorCode> {
        let number = self.found.ok_or(ErrorCode::NoEntry)?;
        match self.slash && !tree.get(number)?.is_dir() {
            true => Err(ErrorCode::NotDirectory),
            false => Ok(number),
        }
    }
}
