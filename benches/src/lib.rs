//! What Wetware costs, each figure beside its bare peer.
//!
//! ```text
//!  spawn.rs  rpc.rs  …       which rows there are
//!     └───┬────┘
//!   Rounds ──► criterion     one side's time each
//!     │   └──► table         the ratio of the two, round by round
//!     ▼
//!  cells │ bare, native      subject │ peer
//!  crossing, streams         either
//! ```

#![allow(
    missing_debug_implementations,
    reason = "nobody prints what is measured"
)]

pub mod bare;
pub mod blocks;
pub mod calls;
pub mod cells;
pub mod crossing;
pub mod files;
pub mod native;
mod rounds;
mod silent;
pub mod streams;
mod table;
pub mod time;

pub use rounds::{Rounds, Side};
pub use table::Table;

/// What measuring gives, or why it could not be done.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
