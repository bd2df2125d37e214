//! Wetware's Cap'n Proto schemas and a two-party vat over any pair of byte
//! streams.
//!
//! ```text
//!  capnp/*.capnp ──► {stem, membrane, peer, cell}_capnp   generated, committed
//!
//!  AsyncRead  ──►┌─────┐
//!                │ Vat │◄──► bootstrap capabilities, both ways
//!  AsyncWrite ◄──└─────┘     a future: whoever polls it drives it
//! ```
//!
//! ```
//! use futures::{executor::block_on, future::select, io::{duplex, AsyncReadExt}};
//! # fn main() {}
//! ```

mod vat;

pub use capnp_rpc::rpc_twoparty_capnp::Side;
pub use vat::{Limits, Vat};

macro_rules! generated {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[allow(
            missing_docs,
            missing_debug_implementations,
            unnameable_types,
            unreachable_pub,
            clippy::all,
            clippy::use_self,
            clippy::unwrap_used,
            reason = "generated from capnp/, where the documentation is"
        )]
        #[rustfmt::skip]
        pub mod $name;)*
    };
}

generated! {
    /// `capnp/stem.capnp`: epochs, sessions, and the membrane that grants them.
    stem_capnp;
    /// `capnp/membrane.capnp`: the default session extension.
    membrane_capnp;
    /// `capnp/peer.capnp`: hosts, executors, processes, and byte streams.
    peer_capnp;
    /// `capnp/cell.capnp`: programs, and how they are spawned.
    cell_capnp;
}
