//! The servers of the wire's capabilities, as whoever holds them sees them.

mod host;
mod input;
mod lifetime;
mod process;
mod program;
mod session;
mod stage;
mod streams;
