//! Cells: sandboxed WASM components that hold no authority but the
//! capabilities handed to them.
//!
//! ```text
//!              image ─► Runtime ─► Program ─► cell::Builder
//!                                                │ spawn
//!   any thread          the cell's thread        ▼
//!  ┌──────┐  with   ┌───────────────────────────────────────────┐
//!  │ Cell │────────►│ Local ─ bootstrap ─ vat ══ pipe ══ guest  │
//!  └──────┘  wait   └───────────────────────────────────────────┘
//! ```
//!
//! A cell on one of the runtime's workers, with what it prints in a pipe:
//!
//! ```
//! use futures_lite::{AsyncReadExt, future::block_on};
//! use ww_core::cell::{Builder, Output};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let image = example_images::path("hello");
//! block_on(async {
//!     let cell = Builder::new()
//!         .image(image)
//!         .args(["reader"])
//!         .stdout(Output::piped())
//!         .spawn()
//!         .await?;
//!     let mut said = String::new();
//!     let mut stdout = cell.take_stdout().ok_or("stdout is piped")?;
//!     stdout.read_to_string(&mut said).await?;
//!     assert_eq!(said, "Hello, reader!\n");
//!     assert!(cell.wait().await?.success());
//!     Ok(())
//! })
//! # }
//! ```
//!
//! What a cell may do is the capability that [`cell::Builder::bootstrap`]
//! makes for it; [`session::Wetware`] behind [`ww_membrane::membrane`] is the
//! usual one. [`cell::Builder::prepare`] and [`cell::Start::drive`] run a cell
//! on an executor of the application's own, without any thread of ours.

mod artifact;
pub mod cache;
pub mod cell;
pub mod clock;
mod compilation;
mod engine;
mod error;
mod footing;
mod mappings;
pub mod network;
mod phase;
pub mod pipe;
mod program;
mod programs;
mod queue;
pub mod random;
mod rollout;
mod room;
mod rpc;
mod runtime;
pub mod serve;
pub mod session;
mod supply;
mod ticker;
mod tier;
mod wasi;
mod weight;
pub mod workers;

pub use compilation::Compilation;
pub use error::{Cause, Error};
pub use phase::Phase;
pub use program::Program;
pub use rollout::{Rollout, RolloutError};
pub use room::Occupancy;
pub use runtime::{Runtime, RuntimeBuilder};
