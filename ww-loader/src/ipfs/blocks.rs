use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::ipns::Seen;
use super::memory::Memory;
use super::turns::{Slot, Turns};
use super::{Attempt, Builder, Error, IpfsPath, Limits, Query, Retry, Scope, SourceError};
use crate::Flights;
use crate::clock::{Clock, within};
use crate::ipld::Cid;

mod car;

/// Blocks by CID, from memory, from disk, or from sources that are asked in
/// turn. Cloning is cheap, and clones share everything: one is enough for all
/// cells of a process.
///
/// - A block has the hash that its CID says, whoever gave it.
/// - Who asks for a block that somebody else has asked for waits for the same
///   answer.
/// - A source that fails is left alone for a while, twice as long each time;
///   see [`Retry`].
#[derive(Clone)]
pub struct Blocks(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) turns: Turns,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: Mutex<Memory>,
    #[cfg(unix)]
    pub(super) disk: Option<super::Disk>,
    pub(super) limits: Limits,
    pub(super) retry: Retry,
    /// By multihash.
    pub(super) flights: Flights<Box<[u8]>, Result<Bytes, Error>>,
    pub(super) seen: Seen,
}

impl Blocks {
    /// Blocks to be given their sources one by one. Without any, only CIDs that
    /// hold their block have one, and what a disk already keeps.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The block that `cid` names.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if no source gives it, [`Error::Block`] if its
    /// hash cannot be checked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the request up, unless others wait for it.
    pub async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        self.fetch(cid, None).await
    }

    /// Has blocks of what stands at `path` sent at once, as many as fit an
    /// answer, so that reading need not ask for them one by one.
    ///
    /// This is no promise: what is missing afterwards is asked for when it is
    /// read. What does not fit memory or disk is forgotten again. Where the root of the
    /// tree is kept already, each source is asked once, and that none answers is no
    /// error: all the rest may be kept as well.
    ///
    /// # Errors
    ///
    /// As [`block`](Self::block), for the root of the tree.
    pub async fn prefetch(&self, path: &IpfsPath, scope: Scope) -> Result<(), Error> {
        let query = Query {
            cid: path.cid.clone(),
            path: path.path.clone(),
            scope,
        };
        check(&path.cid)?;
        if path.cid.inline().is_some() {
            return Ok(());
        }
        let held = self.held(&path.cid).await.is_some();
        if held && scope == Scope::Block && path.path.is_root() {
            return Ok(());
        }
        let rounds = if held { 1 } else { self.0.retry.rounds };
        match self.ask(&path.cid, Some(query), rounds).await {
            Err(_) if held => Ok(()),
            asked => asked.map(drop),
        }
    }

    /// The block, and with it, if it must be asked for, what `hint` describes.
    pub(super) async fn fetch(&self, cid: &Cid, hint: Option<Query>) -> Result<Bytes, Error> {
        check(cid)?;
        if let Some(block) = cid.inline() {
            return Ok(Bytes::copy_from_slice(block));
        }
        if let Some(block) = self.remembered(cid) {
            return Ok(block);
        }
        let (blocks, wanted) = (self.clone(), cid.clone());
        let work = async move {
            // Once more in memory as well: whoever fetched it may just be done.
            match blocks.held(&wanted).await {
                Some(block) => Ok(block),
                None => blocks.ask(&wanted, hint, blocks.0.retry.rounds).await,
            }
        };
        self.0.flights.join(cid.multihash().into(), work).await
    }

    /// What was had before.
    async fn held(&self, cid: &Cid) -> Option<Bytes> {
        if let Some(block) = self.remembered(cid) {
            return Some(block);
        }
        #[cfg(unix)]
        if let Some(disk) = &self.0.disk {
            let block = disk.find(cid, self.0.limits.block).await?;
            self.memory(|memory| memory.keep(cid.multihash(), block.clone()));
            return Some(block);
        }
        None
    }

    fn remembered(&self, cid: &Cid) -> Option<Bytes> {
        self.memory(|memory| memory.find(cid.multihash()))
    }

    /// Keeps a block that was checked, and that stands alone in its allocation.
    async fn keep(&self, cid: &Cid, block: Bytes) -> Bytes {
        self.memory(|memory| memory.keep(cid.multihash(), block.clone()));
        #[cfg(unix)]
        if let Some(disk) = &self.0.disk {
            disk.keep(cid, block.clone()).await;
        }
        block
    }

    fn memory<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.0.memory.lock();
        work(
            memory
                .as_mut()
                .unwrap_or_else(|poisoned| poisoned.get_mut()),
        )
    }

    /// Asks the sources in turn, round after round.
    async fn ask(&self, cid: &Cid, hint: Option<Query>, rounds: u32) -> Result<Bytes, Error> {
        let Inner { turns, clock, .. } = &*self.0;
        let mut attempts = Vec::new();
        let mut slots: Vec<_> = turns.slots().collect();
        for round in 0..rounds.max(1) {
            if round > 0 {
                turns.rest(&slots, &**clock).await;
            }
            turns.order(&mut slots, clock.now());
            let mut again = Vec::new();
            for slot in slots {
                let asked = clock.now();
                let error = match self.ask_one(slot, cid, hint.as_ref()).await {
                    Ok(block) => return Ok(block),
                    Err(error) => error,
                };
                turns.failed(slot, &error, asked, clock.now());
                if error.is_passing() {
                    again.push(slot);
                }
                attempts.push(Attempt {
                    source: slot.source.name().to_owned(),
                    error,
                });
            }
            slots = again;
            if slots.is_empty() {
                break;
            }
        }
        let cid = cid.clone();
        Err(Error::Unavailable { cid, attempts })
    }

    async fn ask_one(
        &self,
        slot: &Slot,
        cid: &Cid,
        hint: Option<&Query>,
    ) -> Result<Bytes, SourceError> {
        if let Some(query) = hint {
            match self.ask_car(slot, cid, query).await {
                Ok(Some(block)) => return Ok(block),
                Err(error) if error.is_final() => return Err(error),
                // Whoever has no CAR, or none that is whole, may have the block.
                Ok(None) | Err(_) => {}
            }
        }
        let Inner { clock, retry, .. } = &*self.0;
        let (limit, after) = (self.0.limits.block, retry.deadline);
        let answer = slot.source.block(cid, limit, after);
        let answer = within(&**clock, after, answer).await;
        let block = answer.unwrap_or(Err(SourceError::Late { after }))?;
        if block.len() > limit {
            return Err(SourceError::TooLarge { limit });
        }
        cid.verify(&block).map_err(SourceError::Codec)?;
        self.0.turns.succeeded(slot);
        Ok(self.keep(cid, block).await)
    }
}

fn check(cid: &Cid) -> Result<(), Error> {
    cid.verifiable().map_err(|source| Error::Block {
        cid: cid.clone(),
        source,
    })
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.turns.slots().map(|slot| slot.source.name());
        f.debug_tuple("Blocks")
            .field(&names.collect::<Vec<_>>())
            .finish()
    }
}
