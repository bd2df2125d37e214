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
//! [`stream`] has bytes as capabilities, for both ends.
//!
//! ```
//! use capnp::capability::{Client, FromClientHook};
//! use futures_lite::future;
//! use ww_rpc::peer_capnp::executor;
//! use ww_rpc::{Limits, Side, Vat};
//!
//! struct Echo;
//!
//! impl executor::Server for Echo {
//!     async fn echo(
//!         self: std::rc::Rc<Self>,
//!         params: executor::EchoParams,
//!         mut results: executor::EchoResults,
//!     ) -> Result<(), capnp::Error> {
//!         let message = params.get()?.get_message()?.to_string()?;
//!         results.get().set_response(format!("Echo: {message}"));
//!         Ok(())
//!     }
//! }
//!
//! // Any two pairs of streams do; these are in memory.
//! let ((ours, to_us), (theirs, to_them)) = (piper::pipe(4096), piper::pipe(4096));
//!
//! let echo: executor::Client = capnp_rpc::new_client(Echo);
//! let bootstrap = Client::new(echo.into_client_hook());
//! let server = Vat::new(theirs, to_us, Side::Server, Some(bootstrap), Limits::default());
//!
//! let mut client = Vat::new(ours, to_them, Side::Client, None, Limits::default());
//! let echo: executor::Client = client.bootstrap();
//! let call = async move {
//!     let mut request = echo.echo_request();
//!     request.get().set_message("hello");
//!     let response = request.send().promise.await?;
//!     assert_eq!(response.get()?.get_response()?, "Echo: hello");
//!     Ok(())
//! };
//!
//! // Both vats run for as long as they are polled, beside the call.
//! let vats = async { future::try_zip(client, server).await.map(|_| ()) };
//! future::block_on(future::or(call, vats))?;
//! # Ok::<(), capnp::Error>(())
//! ```

mod calls;
#[cfg(test)]
mod chance;
mod elsewhere;
mod exports;
mod fate;
mod frame;
mod later;
mod limit;
mod limits;
mod link;
mod network;
mod outbox;
mod panics;
mod plain;
mod promises;
mod questions;
mod reach;
mod reason;
mod recall;
mod refusal;
mod releases;
mod running;
mod sizes;
pub mod stream;
mod traffic;
mod vat;
mod watch;

pub use capnp_rpc::rpc_twoparty_capnp::Side;
pub use later::drop_later;
pub use limit::Limit;
pub use limits::Limits;
pub use panics::Panics;
pub use traffic::Traffic;
pub use vat::Vat;

macro_rules! generated {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])*
        #[allow(
            missing_docs,
            missing_debug_implementations,
            unnameable_types,
            unreachable_pub,
            clippy::all,
            clippy::allow_attributes_without_reason,
            clippy::use_self,
            clippy::unimplemented,
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
