use capnp::any_pointer;
use capnp::message::{Builder, HeapAllocator};
use capnp::private::capability::{ClientHook, PipelineOp};
use capnp::traits::{Imbue, ImbueMut};
use capnp::{Error, message as plain};
use capnp_rpc::rpc_capnp::{message, return_};

use super::fault::broken;
use super::incoming::Caps;
use crate::outbox::Message;

/// What a call of the peer's was answered with, for calls that are pipelined on it.
pub(super) enum Kept {
    /// As it was sent.
    Sent(Message, Caps),
    /// A copy of what had been written of it.
    Copy(Builder<HeapAllocator>, Caps),
}

impl Kept {
    /// A copy of `results`, so far.
    pub(super) fn copy(results: any_pointer::Builder<'_>) -> Result<Self, Error> {
        let results = results.into_reader();
        let words = results.target_size()?.word_count + 1;
        let words = u32::try_from(words).unwrap_or(u32::MAX);
        let allocator = HeapAllocator::new().first_segment_words(words);
        let mut copy = plain::Builder::new(allocator);
        let mut caps = Caps::new();
        let mut root: any_pointer::Builder<'_> = copy.init_root();
        root.imbue_mut(&mut caps);
        root.set_as(results)?;
        Ok(Self::Copy(copy, caps))
    }

    fn get(&self) -> Result<any_pointer::Reader<'_>, Error> {
        let (mut content, caps) = match self {
            Self::Sent(message, caps) => (results(message)?, caps),
            Self::Copy(copy, caps) => (copy.get_root_as_reader()?, caps),
        };
        content.imbue(caps);
        Ok(content)
    }

    /// The capability to which `path` leads.
    pub(super) fn pipelined(&self, path: &[PipelineOp]) -> Box<dyn ClientHook> {
        let found = self
            .get()
            .and_then(|results| results.get_pipelined_cap(path));
        found.unwrap_or_else(broken)
    }
}

fn results(message: &Builder<HeapAllocator>) -> Result<any_pointer::Reader<'_>, Error> {
    let root: message::Reader<'_> = message.get_root_as_reader()?;
    if let message::Return(answer) = root.which()?
        && let return_::Results(results) = answer?.which()?
    {
        return Ok(results?.get_content());
    }
    Err(Error::failed("results were made something else".into()))
}
