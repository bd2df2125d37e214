//! Cells: what they are made with, and how they are held and driven.

mod arguments;
mod backtrace;
mod berth;
mod budget;
mod builder;
mod connection;
mod exit;
mod guest;
mod handle;
mod lent;
mod limits;
mod lines;
mod local;
mod meter;
mod nest;
mod outcome;
mod plain;
mod ports;
mod ready;
mod record;
mod remote;
mod rest;
mod run;
mod shared;
mod signal;
mod slice;
mod sources;
mod start;
mod state;
mod stdio;
mod tally;
mod tee;
mod transport;
mod trap;

pub use builder::Builder;
pub use exit::Exit;
pub use handle::Cell;
pub use limits::{Limit, Limits};
pub use local::Local;
pub use meter::Usage;
pub use nest::Driver;
pub use remote::Remote;
pub use start::Start;
pub use stdio::{Input, Output};
pub use transport::Transport;

pub(crate) use guest::HANDED_OVER;
pub(crate) use lent::Lent;
#[cfg(test)]
pub(crate) use outcome::Outcome;
pub(crate) use plain::plain;
pub(crate) use ready::Ready;
pub(crate) use shared::Shared;
pub(crate) use sources::Sources;
pub(crate) use state::State;
