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
mod remote;
mod sdk;
mod stage;
mod stdio;
mod usage;
mod wait;
mod wat;
mod with;
