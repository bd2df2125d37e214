use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::future::join_all;

use super::node::{Part, Unixfs};
use super::pace::Pace;
use super::{Blocks, Error};
use crate::ipld::Cid;
use crate::{File, Path};

/// Bytes that are allocated before they are there.
const AHEAD: usize = 8 << 20;

/// A file that is read from its blocks as it is asked for. While it is open it
/// holds none of them, so that what is kept stays within the bounds of
/// [`Blocks`].
pub(super) struct BlockFile {
    pub(super) blocks: Blocks,
    pub(super) cid: Cid,
    pub(super) len: u64,
    /// The first part, where it is small.
    pub(super) small: Option<Arc<Part>>,
    /// What it is called in errors.
    pub(super) path: Path,
    pub(super) loader: Arc<str>,
}

#[async_trait]
impl File for BlockFile {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes, crate::Error> {
        let end = offset.saturating_add(len as u64).min(self.len);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let read = self.read(offset, end).await;
        read.map_err(|source| source.at(&self.path, &self.loader))
    }
}

impl BlockFile {
    async fn read(&self, offset: u64, end: u64) -> Result<Bytes, Error> {
        let root = match &self.small {
            Some(part) => part.clone(),
            None => {
                let block = self.blocks.fetch(&self.cid, None).await?;
                Arc::new(decode(&self.cid, &block, self.len)?)
            }
        };
        let read = Reading {
            blocks: &self.blocks,
            range: (offset, end),
            out: Out::default(),
        };
        read.run(root).await
    }
}

/// Bytes of links and sizes that count as one more block of a read.
const BLOCK: usize = 16 << 10;

/// A walk over the blocks of a range, depth first, with the next few of one
/// node asked for at once.
struct Reading<'b> {
    blocks: &'b Blocks,
    range: (u64, u64),
    out: Out,
}

struct Frame {
    part: Arc<Part>,
    /// The next of its links.
    next: usize,
    /// Where in the file that link's bytes begin.
    at: u64,
}

impl Reading<'_> {
    async fn run(mut self, root: Arc<Part>) -> Result<Bytes, Error> {
        let limits = self.blocks.0.limits;
        let mut stack = Vec::new();
        let pace = Pace::default();
        let mut taken = 0;
        self.enter(&mut stack, root, 0);
        while let Some(frame) = stack.last_mut() {
            let wanted = frame.wanted(self.range, limits.concurrency.max(1));
            if wanted.is_empty() {
                stack.pop();
                continue;
            }
            taken += wanted.len();
            if taken > limits.parts {
                let cid = wanted[0].3.clone();
                let reason = format!("it is beyond {} blocks of one read", limits.parts);
                return Err(Error::Shape { cid, reason });
            }
            let blocks = self.blocks;
            let fetched = wanted.iter().map(|(.., cid)| blocks.fetch(cid, None));
            // What is fetched behind an inner part is found again in memory.
            let fetched = join_all(fetched).await;
            let mut inner = None;
            for ((index, at, size, cid), block) in wanted.into_iter().zip(fetched) {
                let block = block?;
                let part = decode(&cid, &block, size)?;
                let work = block.len() - part.own.len();
                taken += work / BLOCK;
                pace.did(work).await;
                (frame.next, frame.at) = (index + 1, at + size);
                if part.rest.is_empty() {
                    self.out.add(&part.own, at, self.range);
                } else {
                    inner = Some((Arc::new(part), at, cid));
                    break;
                }
            }
            if let Some((part, at, cid)) = inner {
                if stack.len() >= limits.depth {
                    let reason = "it is below too many levels of one file".into();
                    return Err(Error::Shape { cid, reason });
                }
                self.enter(&mut stack, part, at);
            }
        }
        Ok(self.out.done())
    }

    fn enter(&mut self, stack: &mut Vec<Frame>, part: Arc<Part>, at: u64) {
        self.out.add(&part.own, at, self.range);
        let at = at + part.own.len() as u64;
        stack.push(Frame { part, next: 0, at });
    }
}

/// The part that is `block`, which its parent said has `size` bytes.
fn decode(cid: &Cid, block: &Bytes, size: u64) -> Result<Part, Error> {
    let shape = |reason| Error::Shape {
        cid: cid.clone(),
        reason,
    };
    match Unixfs::decode(cid, block)? {
        Unixfs::File(part) if part.len == size => Ok(part),
        Unixfs::File(part) => {
            let len = part.len;
            let reason = format!("it has {len} bytes of a file where {size} should be");
            Err(shape(reason))
        }
        _ => Err(shape("it is part of a file, and none itself".into())),
    }
}

impl Frame {
    /// The next links that have bytes of the range, at most `count` of them:
    /// index, where they begin, size and CID.
    fn wanted(&self, (start, end): (u64, u64), count: usize) -> Vec<(usize, u64, u64, Cid)> {
        let mut at = self.at;
        let mut wanted = Vec::new();
        for (index, (size, cid)) in self.part.rest.iter().enumerate().skip(self.next) {
            if at >= end || wanted.len() == count {
                break;
            }
            if *size > 0 && at + size > start {
                wanted.push((index, at, *size, cid.clone()));
            }
            at += size;
        }
        wanted
    }
}

/// What was read of a range: not copied where one block has it all.
#[derive(Default)]
struct Out {
    first: Bytes,
    whole: BytesMut,
}

impl Out {
    /// Adds what `bytes`, which stand at `at`, have of the range.
    fn add(&mut self, bytes: &Bytes, at: u64, (start, end): (u64, u64)) {
        let len = bytes.len() as u64;
        let from = start.saturating_sub(at).min(len);
        let to = end.saturating_sub(at).min(len);
        if from >= to {
            return;
        }
        // Both are at most the block's length.
        let bytes = bytes.slice(from as usize..to as usize);
        if self.first.is_empty() && self.whole.is_empty() {
            self.first = bytes;
            return;
        }
        if self.whole.is_empty() {
            // More is taken as it comes: how long the file is, its blocks only
            // say.
            let all = usize::try_from(end - start).unwrap_or(usize::MAX);
            self.whole.reserve(all.min(AHEAD));
            self.whole
                .extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.whole.extend_from_slice(&bytes);
    }

    fn done(self) -> Bytes {
        match self.whole.is_empty() {
            true => self.first,
            false => self.whole.freeze(),
        }
    }
}
