use std::time::Duration;

use serde_json::{Value, json};

use super::rpc::{self, Node};
use super::{Head, Stem, StemError, abi};
use crate::ipld::Cid;

/// What has been seen of a stem.
pub(super) struct Watch {
    stem: Stem,
    /// The last head that was given.
    last: Option<Head>,
    /// The last block that was read: its number and its hash.
    read: Option<(u64, Value)>,
    /// Failures in a row.
    failures: u32,
    /// How many failures there were, which is whose turn among the nodes it is.
    turn: usize,
    /// When the next question is due, on the stem's clock.
    due: Duration,
}

impl Watch {
    pub(super) fn new(stem: Stem) -> Self {
        Self {
            last: stem.known.clone(),
            due: stem.clock.now(),
            read: None,
            failures: 0,
            turn: 0,
            stem,
        }
    }

    /// The next head, or the next failure.
    pub(super) async fn next(&mut self) -> Result<Head, StemError> {
        loop {
            // Giving up here, or in the question, leaves what is due as it is.
            self.stem.clock.sleep_until(self.due).await;
            let polled = self.poll().await;
            let wait = match &polled {
                Ok(_) => {
                    self.failures = 0;
                    self.stem.interval
                }
                Err(error) => {
                    self.turn = self.turn.wrapping_add(1);
                    self.failures = self.failures.saturating_add(1);
                    self.back_off(error)
                }
            };
            self.due = self.stem.clock.now().saturating_add(wait);
            match polled {
                Ok(None) => {}
                Ok(Some(head)) => return Ok(head),
                Err(error) => return Err(error),
            }
        }
    }

    /// The head, if it is a new one, of the first node that answers.
    pub(super) async fn once(&mut self) -> Result<Option<Head>, StemError> {
        loop {
            let polled = self.poll().await;
            if polled.is_ok() || self.turn + 1 >= self.stem.nodes.len() {
                return polled;
            }
            self.turn += 1;
        }
    }

    fn back_off(&self, error: &StemError) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX);
        let asked = match error {
            StemError::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        };
        let wait = self.stem.interval.saturating_mul(doubled);
        let bound = self.stem.longest_wait.max(self.stem.interval);
        wait.max(asked.unwrap_or_default()).min(bound)
    }

    /// Asks once: the head, if it is a new one.
    async fn poll(&mut self) -> Result<Option<Head>, StemError> {
        let node = self.stem.rpc(self.turn);
        let found = node.number("eth_chainId").await?;
        if found != self.stem.chain {
            return Err(StemError::Chain {
                node: node.name.into(),
                wanted: self.stem.chain,
                found,
            });
        }
        let newest = node.number("eth_blockNumber").await?;
        let Some(block) = newest.checked_sub(self.stem.confirmations) else {
            return Ok(None);
        };
        let seen = match (&self.read, &self.last) {
            (Some((seen, _)), _) => *seen,
            (None, last) => last.as_ref().map_or(0, |head| head.block),
        };
        if block < seen {
            return Err(StemError::Behind {
                node: node.name.into(),
                block,
                seen,
            });
        }
        let hash = block_hash(&node, block).await?;
        let read = (block, hash.clone());
        if self.read.as_ref() == Some(&read) {
            return Ok(None);
        }
        let head = self.read(&node, block, hash).await?;
        self.read = Some(read);
        self.last = head.clone().or(self.last.take());
        Ok(head)
    }

    /// Reads the head in a block, and holds it against the last one.
    async fn read(
        &self,
        node: &Node<'_>,
        block: u64,
        hash: Value,
    ) -> Result<Option<Head>, StemError> {
        let Some((seq, cid)) = self.call(node, block, hash).await? else {
            // The contract knows of no head.
            return match &self.last {
                None => Ok(None),
                Some(last) => Err(StemError::Backwards {
                    block,
                    last: last.seq,
                    found: 0,
                }),
            };
        };
        match &self.last {
            Some(last) if seq < last.seq => Err(StemError::Backwards {
                block,
                last: last.seq,
                found: seq,
            }),
            Some(last) if seq == last.seq && cid != last.cid => Err(StemError::Rewritten {
                block,
                seq,
                was: last.cid.clone(),
                found: cid,
            }),
            Some(last) if seq == last.seq => Ok(None),
            _ => Ok(Some(Head { seq, cid, block })),
        }
    }

    /// What the contract answers in the block with this hash (EIP-1898): by its
    /// number it could be another one by now.
    async fn call(
        &self,
        node: &Node<'_>,
        block: u64,
        hash: Value,
    ) -> Result<Option<(u64, Cid)>, StemError> {
        const METHOD: &str = "eth_call";
        let contract = self.stem.contract;
        let call = json!({"to": contract.to_string(), "data": abi::HEAD});
        let at = json!({"blockHash": hash, "requireCanonical": true});
        let answer = node.ask(METHOD, json!([call, at])).await?;
        let bytes = rpc::data(&answer).ok_or_else(|| {
            let reason = format!("{} is no data", rpc::clip(&answer));
            node.fault(METHOD, reason)
        })?;
        if bytes.is_empty() {
            return Err(StemError::NoContract { contract, block });
        }
        let (seq, cid) = abi::head(&bytes).map_err(|reason| StemError::Abi { block, reason })?;
        if (seq, cid) == (0, &[]) {
            return Ok(None);
        }
        let cid = Cid::from_bytes(cid);
        let cid = cid.map_err(|source| StemError::Cid { seq, block, source })?;
        Ok(Some((seq, cid)))
    }
}

/// The hash of the block with this number, as the node writes it.
async fn block_hash(node: &Node<'_>, block: u64) -> Result<Value, StemError> {
    const METHOD: &str = "eth_getBlockByNumber";
    let answer = node
        .ask(METHOD, json!([format!("{block:#x}"), false]))
        .await?;
    let fault = |reason: String| node.fault(METHOD, reason);
    if answer.get("number").and_then(rpc::number) != Some(block) {
        return Err(fault(format!("it is not block {block}")));
    }
    let hash = answer.get("hash");
    let hash = hash.filter(|hash| rpc::data(hash).is_some_and(|hash| hash.len() == 32));
    hash.cloned()
        .ok_or_else(|| fault("the block has no hash".into()))
}
