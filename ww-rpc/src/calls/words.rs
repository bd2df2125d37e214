use capnp::struct_list;
use capnp_rpc::rpc_capnp::{cap_descriptor, payload};

use crate::refusal::Refusal;
use crate::{Limit, Limits, Traffic};

/// What capnp-rpc takes up for a capability in a message from the peer, in
/// words, beside its descriptor.
pub(super) const CAPABILITY_WORDS: usize = 88;

/// What a copy of parameters with so many capabilities takes up, which a membrane
/// keeps beside them. Where they cannot be measured they cannot be copied.
pub(super) fn copy_words(params: payload::Reader<'_>, capabilities: u32) -> usize {
    if capabilities == 0 {
        return 0;
    }
    let size = params.get_content().target_size();
    size.map_or(0, |size| {
        usize::try_from(size.word_count).unwrap_or(usize::MAX)
    })
}

/// What the capabilities of a message take up, where it may have as many: then they
/// are counted.
pub(super) fn table_words(
    table: struct_list::Reader<'_, cap_descriptor::Owned>,
    limits: &Limits,
    traffic: &Traffic,
) -> Result<usize, Refusal> {
    let count = table.len() as usize;
    if count > limits.capabilities {
        return Err(Limit::Capabilities.exceeded(format!(
            "message from the peer has {count} capabilities, more than the limit of {}",
            limits.capabilities
        )));
    }
    traffic.was_handed(count);
    Ok(taken(0, table.len()))
}

/// What a message of so many words takes up with so many capabilities.
pub(super) fn taken(words: usize, capabilities: u32) -> usize {
    words.saturating_add((capabilities as usize).saturating_mul(CAPABILITY_WORDS))
}

/// Words of messages that the peer has not read, with a call, beyond which that is not
/// sent. Answers, and what is said of calls, have the rest.
pub(super) fn most_queued(limits: &Limits) -> usize {
    limits.queue_words - limits.queue_words / 16
}

/// Why a call is not sent, with which they would take up `queued` words.
pub(super) fn unread(queued: usize, limits: &Limits) -> String {
    format!(
        "messages that the peer has not read would take {queued} words, more than the limit of \
         {}, and call is not sent",
        most_queued(limits)
    )
}

/// Why the peer, if it has the same limits, would take no such message of ours, if so:
/// a call or an answer, which may take `most` words with its capabilities. What we build
/// shares nothing, so a copy takes no more.
pub(super) fn excess(
    what: &str,
    words: usize,
    capabilities: u32,
    most: usize,
    limits: &Limits,
) -> Option<String> {
    let count = capabilities as usize;
    let taken = taken(words, capabilities);
    let has = if words > limits.message_words {
        format!(
            "{words} words, more than the limit of {}",
            limits.message_words
        )
    } else if count > limits.capabilities {
        format!(
            "{count} capabilities, more than the limit of {}",
            limits.capabilities
        )
    } else if taken > most {
        format!("{count} capabilities and takes {taken} words, more than the limit of {most}")
    } else {
        return None;
    };
    Some(format!("{what} has {has}, and is not sent"))
}
