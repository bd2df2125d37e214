//! Cells: what they are made with, and how they are held and driven.

mod builder;
mod exit;
mod guest;
mod handle;
mod local;
mod nest;
mod run;
mod shared;
mod signal;
mod start;
mod state;
mod stdio;

pub use builder::{Builder, Transport};
pub use exit::Exit;
pub use handle::Cell;
pub use local::Local;
pub use nest::Driver;
pub use shared::Usage;
pub use start::Start;
pub use state::Limits;
pub use stdio::{Input, Output};

pub(crate) use state::State;
