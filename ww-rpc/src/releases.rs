use std::collections::BTreeMap;

use capnp::message::{Builder, HeapAllocator};
use capnp::{Error, struct_list};
use capnp_rpc::rpc_capnp::{cap_descriptor, message};

/// What lets go of the capabilities of a message, as whoever has received it would.
///
/// # Errors
///
/// One is of a kind that nobody knows.
pub(crate) fn of(
    table: struct_list::Reader<'_, cap_descriptor::Owned>,
) -> Result<Vec<Builder<HeapAllocator>>, Error> {
    let mut counts = BTreeMap::<u32, u32>::new();
    for descriptor in table {
        if let cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) =
            descriptor.which()?
        {
            *counts.entry(id).or_default() += 1;
        }
    }
    let release = |(id, count)| {
        let mut message = Builder::new_default();
        let mut release = message.init_root::<message::Builder<'_>>().init_release();
        release.set_id(id);
        release.set_reference_count(count);
        message
    };
    Ok(counts.into_iter().map(release).collect())
}
