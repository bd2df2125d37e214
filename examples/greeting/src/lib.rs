//! A schema of an application's own, shared by its host and its guests.
//!
//! ```sh
//! cargo install capnpc
//! cd examples/greeting && capnp compile -o rust:src greeting.capnp
//! ```

#[allow(
    missing_docs,
    missing_debug_implementations,
    unnameable_types,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::unimplemented,
    clippy::unwrap_used,
    clippy::use_self,
    reason = "generated from greeting.capnp, where the documentation is"
)]
#[rustfmt::skip]
pub mod greeting_capnp;
