//! core
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
pub mod workers;

pub use error::{Cause, Error};
pub use program::Program;
pub use runtime::{Runtime, RuntimeBuilder};
mod wasi;
