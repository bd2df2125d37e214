//! Schemas of services that guests export, shared by those, their hosts, and
//! the guests that use them.
//!
//! ```sh
//! cargo install capnpc
//! cd examples/services && capnp compile -o rust:src calculator.capnp store.capnp
//! ```

/// Code that the tool generates from the schemas, where the documentation is.
macro_rules! generated {
    ($($name:ident)*) => {$(
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
            reason = "generated"
        )]
        #[rustfmt::skip]
        pub mod $name;
    )*};
}

generated!(calculator_capnp store_capnp);
