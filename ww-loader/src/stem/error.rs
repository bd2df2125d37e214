use std::time::Duration;

use crate::http::HttpError;
use crate::ipld::{Cid, CodecError};

/// Why a head is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StemError {
    /// The text is no address of a contract.
    #[error("{text:?} is not an address: `0x` and 40 hexadecimal digits")]
    Address {
        /// The text, or its beginning.
        text: String,
    },
    /// The node did not answer, or not to the end.
    #[error("no answer to {method}")]
    Http {
        /// What was asked.
        method: &'static str,
        /// What the client says.
        source: HttpError,
    },
    /// The node refuses to be asked so often.
    #[error("{node} limits how often it is asked{}", seconds(*retry_after))]
    RateLimited {
        /// The node: scheme, host and port.
        node: String,
        /// When it would answer again, if it says so.
        retry_after: Option<Duration>,
    },
    /// The node answered with a status other than 200.
    #[error("{node} answered {method} with status {status}")]
    Status {
        /// The node: scheme, host and port.
        node: String,
        /// What was asked.
        method: &'static str,
        /// The status.
        status: u16,
    },
    /// The node answered with an error.
    #[error("{node} answered {method} with error {code}: {message}")]
    Rpc {
        /// The node: scheme, host and port.
        node: String,
        /// What was asked.
        method: &'static str,
        /// The error's code.
        code: i64,
        /// Its text, or the beginning of it.
        message: String,
    },
    /// The answer is not what the protocol allows.
    #[error("{node} answered {method} with what is no answer: {reason}")]
    Answer {
        /// The node: scheme, host and port.
        node: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The node is one of another chain.
    #[error("{node} is on chain {found}, not on {wanted}")]
    Chain {
        /// The node: scheme, host and port.
        node: String,
        /// The chain that was wanted.
        wanted: u64,
        /// The node's.
        found: u64,
    },
    /// The node knows fewer blocks than were seen before.
    #[error("{node} is behind: the block to be read would be {block}, and {seen} was read before")]
    Behind {
        /// The node: scheme, host and port.
        node: String,
        /// The block that would be read.
        block: u64,
        /// The block that was read before.
        seen: u64,
    },
    /// The address has no contract that answers `head()`.
    #[error("nothing at {contract} in block {block} answers head()")]
    NoContract {
        /// The address.
        contract: super::Address,
        /// The block.
        block: u64,
    },
    /// What the contract answers is not the encoding of `(uint64, bytes)`.
    #[error("head() in block {block} answers what is not (uint64, bytes): {reason}")]
    Abi {
        /// The block.
        block: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The contract's head is no CID.
    #[error("head {seq} in block {block} is not a CID")]
    Cid {
        /// The head's number.
        seq: u64,
        /// The block.
        block: u64,
        /// What is wrong.
        source: CodecError,
    },
    /// The contract has an earlier head than it had.
    #[error("the head in block {block} is {found}, and was {last} before")]
    Backwards {
        /// The block.
        block: u64,
        /// The number of the last head.
        last: u64,
        /// The number that the contract has now.
        found: u64,
    },
    /// The contract has another CID for a number than it had.
    #[error("head {seq} is {found} in block {block}, and was {was} before")]
    Rewritten {
        /// The block.
        block: u64,
        /// The number.
        seq: u64,
        /// The CID before.
        was: Cid,
        /// The CID now.
        found: Cid,
    },
}

fn seconds(retry_after: Option<Duration>) -> String {
    match retry_after {
        Some(wait) => format!(", for another {} seconds", wait.as_secs()),
        None => String::new(),
    }
}
