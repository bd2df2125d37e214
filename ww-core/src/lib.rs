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

pub mod cell;
pub mod clock;
mod engine;
mod error;
pub mod network;
pub mod pipe;
mod program;
mod programs;
pub mod random;
mod rpc;
mod runtime;
pub mod serve;
pub mod session;
mod ticker;
mod wasi;
pub mod workers;

pub use error::{Cause, Error};
pub use program::Program;
pub use runtime::{Runtime, RuntimeBuilder};
