use std::collections::BTreeSet;

use capnp::struct_list;
use capnp_rpc::rpc_capnp::{cap_descriptor, disembargo, resolve};

use crate::Limit;
use crate::refusal::Refusal;

/// What the peer holds of ours, as far as the ids of it tell: capnp-rpc gives each
/// the lowest that is free, so one tells how many there are at least.
pub(crate) struct Exports {
    /// The most capabilities that it may hold, and embargoes.
    limit: usize,
    /// Promises that have turned out to be the peer's own.
    reflecting: BTreeSet<u32>,
    /// Promises of what the peer has to answer itself. An id stays here when it is free
    /// again, for the same promise may go out once more, by another way: a peer that
    /// answers with a later promise of that id is refused with no need.
    answers: BTreeSet<u32>,
}

impl Exports {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            reflecting: BTreeSet::new(),
            answers: BTreeSet::new(),
        }
    }

    /// Takes note of the capabilities that go with a message.
    ///
    /// # Errors
    ///
    /// `Overloaded` where they are more than the limit.
    pub(crate) fn send(
        &mut self,
        table: struct_list::Reader<'_, cap_descriptor::Owned>,
    ) -> Result<(), Refusal> {
        table.iter().try_for_each(|entry| self.send_one(entry))
    }

    fn send_one(&mut self, descriptor: cap_descriptor::Reader<'_>) -> Result<(), Refusal> {
        let Ok(cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id)) =
            descriptor.which()
        else {
            return Ok(());
        };
        self.fits(id, "holds", "capabilities")?;
        // The id was free again.
        self.reflecting.remove(&id);
        Ok(())
    }

    /// Takes note of promises in `table` of what the peer has to answer itself.
    pub(crate) fn reflect_answers(
        &mut self,
        table: struct_list::Reader<'_, cap_descriptor::Owned>,
    ) {
        for descriptor in table {
            if let Ok(cap_descriptor::SenderPromise(id)) = descriptor.which() {
                self.answers.insert(id);
            }
        }
    }

    /// Takes note of what a promise has resolved to.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub(crate) fn resolve(&mut self, resolve: resolve::Reader<'_>) -> Result<(), Refusal> {
        let resolve::Cap(descriptor) = resolve.which()? else {
            return Ok(());
        };
        let descriptor = descriptor?;
        if let cap_descriptor::ReceiverHosted(_) | cap_descriptor::ReceiverAnswer(_) =
            descriptor.which()?
        {
            self.reflecting.insert(resolve.get_promise_id());
        }
        self.send_one(descriptor)
    }

    /// Takes note of an embargo, which lasts until the peer has sent it back.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than the limit.
    pub(crate) fn embargo(&self, disembargo: disembargo::Reader<'_>) -> Result<(), Refusal> {
        match disembargo.get_context().which() {
            Ok(disembargo::context::SenderLoopback(id)) => {
                self.fits(id, "has not sent back", "embargoes")
            }
            _ => Ok(()),
        }
    }

    /// Whether calls on the export `id` go to the peer that makes them.
    pub(crate) fn are_reflecting(&self, id: u32) -> bool {
        self.reflecting.contains(&id)
    }

    /// Whether the export `id` is a promise of what the peer has to answer itself.
    pub(crate) fn are_answers(&self, id: u32) -> bool {
        self.answers.contains(&id)
    }

    fn fits(&self, id: u32, has: &str, what: &str) -> Result<(), Refusal> {
        if (id as usize) < self.limit {
            return Ok(());
        }
        Err(Limit::Exports.exceeded(format!(
            "peer {has} {} {what}, more than the limit of {}",
            u64::from(id) + 1,
            self.limit
        )))
    }
}
