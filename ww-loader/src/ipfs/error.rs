use std::time::Duration;

use super::ipns::RecordError;
use crate::error::chain_text;
use crate::http::HttpError;
use crate::ipld::{Cid, CodecError};

/// Why something of IPFS cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No source gave the block.
    #[error("no source gave block {cid}{}", listed(attempts))]
    Unavailable {
        /// The block.
        cid: Cid,
        /// What each source that was asked said, in order.
        attempts: Vec<Attempt>,
    },
    /// The block is what its CID says, and cannot be read.
    #[error("block {cid} cannot be read")]
    Block {
        /// The block.
        cid: Cid,
        /// What is wrong with it.
        source: CodecError,
    },
    /// The block is well formed, and no part of a proper tree.
    #[error("block {cid} cannot be used: {reason}")]
    Shape {
        /// The block.
        cid: Cid,
        /// What is wrong with it.
        reason: String,
    },
    /// No source gave a valid record of the name.
    #[error("no source gave a record of /ipns/{name}{}", listed(attempts))]
    Name {
        /// The name.
        name: String,
        /// What each source that was asked said, in order.
        attempts: Vec<Attempt>,
    },
    /// The text is no path of IPFS.
    #[error("{text:?} is not an IPFS path: {reason}")]
    Path {
        /// The beginning of the text.
        text: String,
        /// What is wrong.
        reason: String,
    },
}

/// A source that was asked in vain.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The source's name.
    pub source: String,
    /// What it said.
    pub error: SourceError,
}

/// Why a source gave nothing that is of use.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There was no answer, or it broke off.
    #[error(transparent)]
    Http(HttpError),
    /// The answer has a status that brings nothing. What it says about what
    /// exists is not believed.
    #[error("status {status}{}", text.as_ref().map(|text| format!(" ({text:?})")).unwrap_or_default())]
    Status {
        /// The status.
        status: u16,
        /// The beginning of the body, if it is plain text, and the server's address
        /// has nothing but scheme, host and port for it to repeat.
        text: Option<String>,
        /// How long it asks not to be asked again.
        again: Option<Duration>,
    },
    /// The answer points elsewhere, which is not followed.
    #[error("status {status}, a redirect to {to} that is not followed")]
    Redirect {
        /// The status.
        status: u16,
        /// The server that it points to.
        to: String,
    },
    /// There was no answer in time, or not all of it.
    #[error("no answer within {after:?}")]
    Late {
        /// How long was waited.
        after: Duration,
    },
    /// The answer is longer than allowed.
    #[error("an answer of more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not what was asked for.
    #[error(transparent)]
    Codec(CodecError),
    /// The answer is no valid record of the name.
    #[error(transparent)]
    Record(RecordError),
    /// The answer does not hold the block that it should.
    #[error("an answer without the block")]
    Missing,
    /// The source cannot be asked for such a thing.
    #[error("it cannot be asked for {what}")]
    Unsupported {
        /// For what.
        what: &'static str,
    },
}

impl Error {
    /// Whether asking again may bring another answer.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable { attempts, .. } | Self::Name { attempts, .. } => {
                attempts.iter().any(|attempt| attempt.error.is_passing())
            }
            _ => false,
        }
    }
}

impl SourceError {
    /// Whether asking again may bring another answer.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Http(error) => error.is_passing(),
            Self::Late { .. } => true,
            // What a server does not implement it will not by the next round.
            Self::Status { status, .. } => match status {
                501 | 505 => false,
                408 | 425 | 429 | 500.. => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the source, which was asked for many blocks, need not be asked for
    /// one: it is not there, it asks not to be asked, or it lies. That it cannot
    /// make an answer of many, or not in time, says nothing of one.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Http(_) | Self::TooLarge { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429),
            Self::Codec(error) => matches!(error, CodecError::Mismatch { .. }),
            _ => false,
        }
    }

    /// Whether the source should not be asked for anything for a while.
    pub(super) fn is_grave(&self) -> bool {
        let others = matches!(self, Self::Http(_) | Self::Codec(_) | Self::TooLarge { .. });
        self.is_passing() || others
    }
}

fn listed(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return ", since there is none".into();
    }
    let texts: Vec<_> = attempts
        .iter()
        .map(|attempt| format!("{}: {}", attempt.source, chain_text(&attempt.error)))
        .collect();
    format!(": {}", texts.join("; "))
}
