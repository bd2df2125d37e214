use std::collections::BTreeMap;

use capnp::Error;
use capnp_rpc::rpc_capnp::{cap_descriptor, resolve};

use crate::Limit;
use crate::refusal::Refusal;

/// How far promises of the peer's have resolved to one another.
///
/// capnp-rpc holds such promises from within one another: a chain without end
/// would need the stack without end when it is dropped, and one that is its own
/// end would never be.
#[derive(Default)]
pub(crate) struct Promises {
    /// By import id: what promises have resolved to, and how many of them lead
    /// there in a row. Until it is released.
    depth: BTreeMap<u32, u32>,
}

impl Promises {
    /// Takes note that the peer resolves a promise.
    ///
    /// # Errors
    ///
    /// It resolves it to itself, or is the last of more than `limit` in a row
    /// (`Overloaded`); and whatever is wrong with the parts that are looked at.
    pub(crate) fn resolve(
        &mut self,
        resolve: resolve::Reader<'_>,
        limit: u32,
    ) -> Result<(), Refusal> {
        let promise = resolve.get_promise_id();
        let resolve::Cap(descriptor) = resolve.which()? else {
            return Ok(());
        };
        let (cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id)) =
            descriptor?.which()?
        else {
            return Ok(());
        };
        if id == promise {
            return Err(Refusal::Broken(Error::failed(format!(
                "peer resolved its promise {promise} to itself"
            ))));
        }
        let depth = self.depth.get(&promise).copied().unwrap_or(0) + 1;
        if depth > limit {
            return Err(Limit::Resolutions.exceeded(format!(
                "peer resolved {depth} promises to one another, more than the limit of {limit}"
            )));
        }
        let known = self.depth.entry(id).or_default();
        *known = depth.max(*known);
        Ok(())
    }

    /// Takes note that the import `id` is released.
    pub(crate) fn release(&mut self, id: u32) {
        self.depth.remove(&id);
    }
}
