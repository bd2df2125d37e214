//! The way from a root down a path.

use super::hamt::{Place, Slot};
use super::node::{Shard, Unixfs};
use super::pace::Pace;
use super::{Blocks, Error, Query, Scope};
use crate::Path;
use crate::ipld::Cid;
use crate::ipld::dag_pb::Link;

/// Where a walk ends before its path does.
pub(super) enum Stop {
    /// The directory of this many components does not hold the next one.
    Absent(usize),
    /// This many components lead to a file or a link.
    NotDirectory(usize),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Blocks {
    /// What stands at `path` below `root`, and its CID.
    pub(super) async fn walk(&self, root: &Cid, path: &Path) -> Result<(Cid, Unixfs), Stop> {
        let pace = Pace::default();
        let mut cid = root.clone();
        let mut rest = path.clone();
        for (depth, name) in path.components().enumerate() {
            let node = self.node(&pace, &cid, rest.clone()).await?;
            let next = match &node {
                Unixfs::Dir(links) => entry(&cid, links, name.as_bytes())?,
                Unixfs::Shard(shard) => self.look_up(&pace, shard, name.as_bytes()).await?,
                Unixfs::File(_) | Unixfs::Symlink(_) => return Err(Stop::NotDirectory(depth)),
            };
            cid = next.ok_or(Stop::Absent(depth))?;
            rest = path
                .below(&path.prefix(depth + 1))
                .unwrap_or_else(Path::root);
        }
        let node = self.node(&pace, &cid, rest).await?;
        Ok((cid, node))
    }

    /// The node, and with it, if it must be asked for, those on the way to
    /// `rest`.
    async fn node(&self, pace: &Pace, cid: &Cid, rest: Path) -> Result<Unixfs, Error> {
        let raw = matches!(cid.codec(), Some(crate::ipld::Codec::Raw));
        let hint = (!raw).then(|| Query {
            cid: cid.clone(),
            path: rest,
            scope: Scope::Block,
        });
        let block = self.fetch(cid, hint).await?;
        let node = Unixfs::decode(cid, &block)?;
        pace.did(node.work(&block)).await;
        Ok(node)
    }

    async fn look_up(&self, pace: &Pace, shard: &Shard, name: &[u8]) -> Result<Option<Cid>, Error> {
        let mut place = Place::of(name);
        let mut below: Option<Shard> = None;
        for _ in 0..self.0.limits.depth {
            let shard = below.as_ref().unwrap_or(shard);
            let Some(position) = place.next(shard.fanout) else {
                return Err(shard.fault("it is a shard deeper than its hash"));
            };
            let cid = match shard.at(position)? {
                Some(Slot::Entry(entry, cid)) if entry == name => return Ok(Some(cid.clone())),
                Some(Slot::Shard(cid)) => cid.clone(),
                Some(Slot::Entry(..)) | None => return Ok(None),
            };
            let block = self.fetch(&cid, None).await?;
            below = Some(shard.below(&cid, &block)?);
            pace.did(block.len()).await;
        }
        Err(shard.fault("it is a directory with too many levels"))
    }
}

/// The entry of a plain directory. Of two with one name neither counts.
fn entry(dir: &Cid, links: &[Link], name: &[u8]) -> Result<Option<Cid>, Error> {
    let mut found = links.iter().filter(|link| link.name() == name);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(Error::Shape {
            cid: dir.clone(),
            reason: format!("it has {:?} twice", String::from_utf8_lossy(name)),
        }),
        (first, _) => Ok(first.map(|link| link.cid.clone())),
    }
}
