//! Many blocks in one answer.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;

use super::Blocks;
use crate::clock::within;
use crate::http::Body;
use crate::ipfs::turns::Slot;
use crate::ipfs::{Query, SourceError};
use crate::ipld::car::Decoder;
use crate::ipld::{Cid, CodecError};

/// How many deadlines the whole answer has.
const PATIENCE: u32 = 10;

impl Blocks {
    /// Keeps every block of the answer that has its hash, in whatever order and
    /// however often it comes, and gives the one that is `wanted`.
    ///
    /// What came before the answer broke off or turned out wrong is kept.
    pub(super) async fn ask_car(
        &self,
        slot: &Slot,
        wanted: &Cid,
        query: &Query,
    ) -> Result<Option<Bytes>, SourceError> {
        let after = self.0.retry.deadline;
        let all = after.saturating_mul(PATIENCE);
        let clock = &*self.0.clock;
        let start = clock.now();
        let answer = within(clock, after, slot.source.car(query, after, all)).await;
        let body = answer.unwrap_or(Err(SourceError::Late { after }))?;
        let mut found = None;
        let taken = self.take(body, start, wanted, &mut found).await;
        match (taken, found) {
            // That there is more than fits is no fault of the source's.
            (Ok(()) | Err(SourceError::TooLarge { .. }), Some(block)) => {
                self.0.turns.succeeded(slot);
                Ok(Some(block))
            }
            (Err(error), Some(block)) => {
                self.0.turns.failed(slot, &error, start, clock.now());
                Ok(Some(block))
            }
            (taken, None) => taken.map(|()| None),
        }
    }

    async fn take(
        &self,
        body: Body,
        start: Duration,
        wanted: &Cid,
        found: &mut Option<Bytes>,
    ) -> Result<(), SourceError> {
        let clock = &*self.0.clock;
        let after = self.0.retry.deadline;
        let limit = self.0.limits.answer;
        let mut decoder = Decoder::new(self.0.limits.block);
        let mut pieces = body.into_stream();
        let mut len = 0_usize;
        let end = start.saturating_add(after.saturating_mul(PATIENCE));
        let mut due = start.saturating_add(after);
        loop {
            while let Some((cid, block)) = decoder.next().map_err(SourceError::Codec)? {
                due = clock.now().saturating_add(after);
                match cid.verify(&block) {
                    Ok(()) if cid.inline().is_some() => {}
                    Ok(()) => {
                        // Out of the buffer that it shares with others.
                        let block = Bytes::copy_from_slice(&block);
                        let block = self.keep(&cid, block).await;
                        if cid.multihash() == wanted.multihash() {
                            *found = Some(block);
                        }
                    }
                    // What cannot be checked is of no use, and no lie.
                    Err(CodecError::Hash { .. }) => {}
                    Err(error) => return Err(SourceError::Codec(error)),
                }
            }
            let left = due.min(end).saturating_sub(clock.now());
            let piece = within(clock, left, pieces.try_next()).await;
            let piece = piece.ok_or(SourceError::Late { after })?;
            match piece.map_err(SourceError::Http)? {
                None => return decoder.finish().map_err(SourceError::Codec),
                Some(piece) if piece.len() > limit - len => {
                    return Err(SourceError::TooLarge { limit });
                }
                Some(piece) => {
                    len += piece.len();
                    decoder.push(&piece);
                }
            }
        }
    }
}
