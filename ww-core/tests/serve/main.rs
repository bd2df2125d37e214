//! The servers of the wire's capabilities, as whoever holds them sees them.

#![allow(
    clippy::unwrap_used,
    clippy::type_complexity,
    reason = "helpers of tests fail as tests do, and tables of cases have long types"
)]

mod attenuation;
mod below;
mod host;
mod input;
mod lifetime;
mod malice;
mod narrow;
mod process;
mod program;
#[allow(dead_code, reason = "each test takes what it needs")]
#[path = "../../../ww-membrane/tests/support/said.rs"]
mod said;
mod session;
mod signer;
#[path = "../cell/silent.rs"]
mod silent;
mod stage;
mod streams;
