use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::hamt::{Place, Slot};
use super::node::Shard;
use super::pace::Pace;
use super::{Blocks, Error, Query, Scope};
use crate::Path;
use crate::ipld::Cid;

/// A walk over the shards of a directory, depth first.
///
/// Each name must stand where it is looked for, and no shard below the first
/// may be empty. So a shard can have but one place, and a walk is no longer
/// than there are names.
pub(super) struct Shards {
    blocks: Blocks,
    pace: Pace,
    /// The first shard, until it was walked.
    root: Option<Shard>,
    /// In the order they are to be walked.
    pending: VecDeque<Pending>,
    /// Whether the sources were asked for all shards at once.
    hinted: bool,
}

struct Pending {
    cid: Cid,
    above: Arc<Shard>,
    /// The positions that lead to the shard.
    way: Vec<u64>,
    /// The shard's block, once it was asked for.
    block: Option<Result<Bytes, Error>>,
}

impl Shards {
    pub(super) fn new(blocks: &Blocks, root: Shard) -> Self {
        Self {
            blocks: blocks.clone(),
            pace: Pace::default(),
            root: Some(root),
            pending: VecDeque::new(),
            hinted: false,
        }
    }

    /// The entries of the next shard, or `None` behind the last.
    pub(super) async fn batch(&mut self) -> Result<Option<Vec<(Bytes, Cid)>>, Error> {
        let (way, shard) = match self.root.take() {
            Some(root) => (Vec::new(), root),
            None => match self.next().await? {
                Some(next) => next,
                None => return Ok(None),
            },
        };
        let shard = Arc::new(shard);
        if shard.links.is_empty() && !way.is_empty() {
            return Err(shard.fault("it is a shard of a larger directory, and empty"));
        }
        let mut batch = Vec::new();
        let mut below = Vec::new();
        for slot in shard.slots() {
            match slot? {
                (position, Slot::Shard(cid)) => below.push(Pending {
                    cid: cid.clone(),
                    above: shard.clone(),
                    way: [&way[..], &[position]].concat(),
                    block: None,
                }),
                (position, Slot::Entry(name, cid)) => {
                    let mut place = Place::of(name);
                    let mut expected = way.iter().chain([&position]);
                    if !expected.all(|at| place.next(shard.fanout) == Some(*at)) {
                        return Err(shard.fault("it is a shard with a name at a wrong position"));
                    }
                    batch.push((Bytes::copy_from_slice(name), cid.clone()));
                }
            }
        }
        if !below.is_empty() && way.len() + 1 >= self.blocks.0.limits.depth {
            return Err(shard.fault("it is a directory with too many levels"));
        }
        below
            .into_iter()
            .rev()
            .for_each(|next| self.pending.push_front(next));
        Ok(Some(batch))
    }

    /// The next shard below the first, and the positions that lead to it.
    async fn next(&mut self) -> Result<Option<(Vec<u64>, Shard)>, Error> {
        self.load().await?;
        let Some(next) = self.pending.pop_front() else {
            return Ok(None);
        };
        let Some(block) = next.block.transpose()? else {
            return Ok(None);
        };
        let shard = next.above.below(&next.cid, &block)?;
        self.pace.did(block.len()).await;
        Ok(Some((next.way, shard)))
    }

    /// Has the next shard at hand, and with it a few behind it.
    async fn load(&mut self) -> Result<(), Error> {
        match self.pending.front() {
            Some(Pending { block: None, .. }) => {}
            _ => return Ok(()),
        }
        self.hint().await?;
        let blocks = &self.blocks;
        let count = blocks.0.limits.concurrency.max(1);
        let next = self.pending.iter_mut().take(count);
        join_all(next.map(|pending| async {
            if pending.block.is_none() {
                pending.block = Some(blocks.fetch(&pending.cid, None).await);
            }
        }))
        .await;
        Ok(())
    }

    /// Has all shards sent at once where the first of them must be asked for.
    async fn hint(&mut self) -> Result<(), Error> {
        let Some(first) = self.pending.front().filter(|_| !self.hinted) else {
            return Ok(());
        };
        let query = Query {
            cid: first.above.cid.clone(),
            path: Path::root(),
            scope: Scope::Entity,
        };
        self.blocks.fetch(&first.cid, Some(query)).await?;
        self.hinted = true;
        Ok(())
    }
}
