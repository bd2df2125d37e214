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
//! # What a guest has
//!
//! | for | there is |
//! | --- | --- |
//! | capabilities | what `main` takes, [`graft`], [`Grafted`], which grafts again when a session has died |
//! | serving | [`export()`], [`serve`], and [`closed`], which is the host's way to say that it is time to end |
//! | tasks | [`spawn`], whose handle is waited for |
//! | time | [`time::sleep`] and [`time::timeout`] |
//! | bytes | [`stdin`], [`stdout`], [`stderr`], and [`bytes`] for streams that are capabilities |
//! | its image | [`fs`], or `std::fs` where nothing else need go on meanwhile |
//! | telling | [`logging`], and panics: standard error has their message and place, and the trap that the host sees has both where `main` takes a capability and names no transport |
//! | failing | [`Error`], which every error converts to, and [`Exit`] codes |
//! | being tested | `testing`, on targets other than `wasm32-wasip2` |
//!
//! It waits in its poll loop and nowhere else. `block_on` of another crate does not
//! know that loop: in a guest it polls without end, takes a processor, and never
//! hears of what it waits for. Use `.await`, and [`spawn`] for what goes on beside.
//!
//! Its code compiles for other targets too, where [`testing`] runs it.
//!
//! # Speed
//!
//! A function call costs a guest more than native code: machine code made from
//! WebAssembly saves registers at each, and looks at its stack and whether it is
//! to be interrupted. So it pays to let LLVM see the whole program and inline
//! more of it than it would, in the guest's `Cargo.toml`
//!
//! ```toml
//! [profile.release]
//! lto = true
//! codegen-units = 1
//! panic = "abort"
//! ```
//!
//! and in its `.cargo/config.toml`:
//!
//! ```toml
//! [target.wasm32-wasip2]
//! rustflags = ["-Cllvm-args=-inline-threshold=500"]
//! ```
//!
//! With that an RPC call takes an eighth less time, the host's part included,
//! and the component is half as large again (`benches/README.md`). `opt-level`
//! makes little difference beside it.

#[cfg(all(target_family = "wasm", feature = "allocator"))]
mod alloc;
mod bindings;
pub mod bytes;
mod closing;
mod connection;
#[doc(hidden)]
pub mod entry;
mod error;
mod executor;
mod export;
mod flag;
pub mod fs;
mod grafted;
mod granted;
mod line;
#[cfg(feature = "tracing")]
pub mod logging;
mod outcome;
mod panics;
mod recorder;
mod session;
pub mod stdio;
mod tasks;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod time;
#[doc(hidden)]
pub mod transport;
mod watch;

pub use closing::{closed, serve};
pub use error::Error;
pub use export::export;
pub use grafted::Grafted;
pub use granted::Wetware;
pub use outcome::{Exit, Outcome};
pub use session::{Membrane, Session, graft, graft_as};
pub use stdio::{stderr, stdin, stdout};
pub use tasks::{Cancelled, Task, spawn};
pub use ww_guest_sdk_macros::main;

#[cfg(all(target_family = "wasm", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: alloc::Allocator = alloc::Allocator::new();

pub use capnp;
pub use capnp_rpc;
pub use futures;
#[cfg(feature = "tracing")]
pub use tracing;
pub use ww_rpc::{cell_capnp, membrane_capnp, peer_capnp, stem_capnp};
