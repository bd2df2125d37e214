//! A cell's life, as whoever holds it or drives it sees it.

mod backtrace;
mod determinism;
mod driver;
mod exit;
mod fairness;
mod family;
mod kill;
mod limits;
mod log;
mod patience;
mod polls;
mod remote;
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails as tests do"
)]
#[path = "../../../ww-membrane/tests/support/said.rs"]
mod said;
mod sdk;
mod silent;
mod stage;
mod stdio;
mod straight;
mod told;
mod usage;
mod wait;
mod wat;
mod why;
mod with;
