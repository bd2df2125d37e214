//! Write Wetware guests: an entry point, a poll loop, and the host's
//! capabilities.
//!
//! ```text
//!   main, spawned tasks ──► capabilities ──► vat
//!        │                                    │ bytes
//!   timers, stdin, stdout                connection
//!        │ pollables                          │
//!        └──────────► poll loop ◄─────────────┘
//!                        │  one host call when nothing is left to do
//!  ──────────────────────▼──────────────────────────────────── host
//! ```
//!
//! A guest is an ordinary binary, built for `wasm32-wasip2`:
//!
//! ```
//! # mod guest {
//! use ww_guest_sdk::{Error, Membrane, graft};
//!
//! #[ww_guest_sdk::main]
//! async fn main(membrane: Membrane) -> Result<(), Error> {
//!     let session = graft(&membrane).await?;
//!     let mut request = session.executor.echo_request();
//!     request.get().set_message("anyone there?");
//!     let response = request.send().promise.await?;
//!     println!("{}", response.get()?.get_response()?.to_str()?);
//!     Ok(())
//! }
//! # }
//! ```
//!
//! It compiles for other targets too, where there is no host to run it.

#[cfg(all(target_family = "wasm", feature = "allocator"))]
mod alloc;
mod bindings;
pub mod bytes;
mod connection;
#[doc(hidden)]
pub mod entry;
mod error;
mod executor;
mod export;
mod flag;
mod line;
mod outcome;
mod session;
pub mod stdio;
mod tasks;
pub mod time;
#[doc(hidden)]
pub mod transport;
mod watch;

pub use error::Error;
pub use export::export;
pub use outcome::{Exit, Outcome};
pub use session::{Membrane, Session, graft, graft_as};
pub use stdio::{stdin, stdout};
pub use tasks::spawn;
pub use ww_guest_sdk_macros::main;

#[cfg(all(target_family = "wasm", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: alloc::Allocator = alloc::Allocator::new();

pub use capnp;
pub use capnp_rpc;
pub use futures;
pub use ww_rpc::{cell_capnp, membrane_capnp, peer_capnp, stem_capnp};
