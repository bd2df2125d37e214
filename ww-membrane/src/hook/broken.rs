use capnp::Error;
use capnp::capability::RemotePromise;
use capnp::private::capability::{ClientHook, PipelineHook, RequestHook};

use crate::hook::cross::RESOLUTIONS;

/// A capability that answers every call with `error`.
pub(super) fn client(error: Error) -> Box<dyn ClientHook> {
    capnp_rpc::new_broken_cap(error).hook
}

/// What stands for a promise that resolves to a promise, and so on, and for a
/// wrapper of a wrapper.
pub(super) fn endless() -> Box<dyn ClientHook> {
    client(Error::failed(format!(
        "promise resolved {RESOLUTIONS} times without settling, or is behind as many membranes"
    )))
}

/// A request that fails with `error` when it is sent.
pub(super) fn request(error: Error) -> Box<dyn RequestHook> {
    client(error).new_call(0, 0, None).hook
}

/// A call that has failed with `error`.
pub(super) fn call(error: Error) -> RemotePromise<capnp::any_pointer::Owned> {
    request(error).send()
}

/// A pipeline of such a call.
pub(super) fn pipeline(error: Error) -> Box<dyn PipelineHook> {
    call(error).pipeline.hook
}
