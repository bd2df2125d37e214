use std::fmt;

use crate::Limits;
use crate::refusal::Refusal;

/// One of the [`Limits`], of those that end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::message_words`].
    MessageWords,
    /// [`Limits::capabilities`].
    Capabilities,
    /// [`Limits::pipeline_depth`].
    PipelineDepth,
    /// [`Limits::resolutions`].
    Resolutions,
    /// [`Limits::calls`].
    Calls,
    /// [`Limits::call_words`].
    CallWords,
    /// [`Limits::cancelled_calls`].
    CancelledCalls,
    /// [`Limits::unanswered_calls`].
    UnansweredCalls,
    /// [`Limits::exports`].
    Exports,
    /// [`Limits::queue_words`].
    QueueWords,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::MessageWords,
        Self::Capabilities,
        Self::PipelineDepth,
        Self::Resolutions,
        Self::Calls,
        Self::CallWords,
        Self::CancelledCalls,
        Self::UnansweredCalls,
        Self::Exports,
        Self::QueueWords,
    ];

    pub(crate) fn exceeded(self, text: String) -> Refusal {
        Refusal::Exceeded(self, text)
    }
}

impl Limits {
    /// What `limit` is set to.
    pub fn bound(&self, limit: Limit) -> u64 {
        match limit {
            Limit::MessageWords => self.message_words as u64,
            Limit::Capabilities => self.capabilities as u64,
            Limit::PipelineDepth => self.pipeline_depth.into(),
            Limit::Resolutions => self.resolutions.into(),
            Limit::Calls => self.calls as u64,
            Limit::CallWords => self.call_words as u64,
            Limit::CancelledCalls => self.cancelled_calls as u64,
            Limit::UnansweredCalls => self.unanswered_calls as u64,
            Limit::Exports => self.exports as u64,
            Limit::QueueWords => self.queue_words as u64,
        }
    }
}

impl fmt::Display for Limit {
    /// What it limits, as in "more calls in flight".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MessageWords => "words of a message",
            Self::Capabilities => "capabilities of a message",
            Self::PipelineDepth => "calls pipelined on one another",
            Self::Resolutions => "promises resolved to one another",
            Self::Calls => "calls in flight",
            Self::CallWords => "words of calls in flight",
            Self::CancelledCalls => "cancelled calls",
            Self::UnansweredCalls => "unanswered calls",
            Self::Exports => "capabilities held",
            Self::QueueWords => "words of unread messages",
        })
    }
}
