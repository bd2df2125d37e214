//! A cell's life, as whoever holds it or drives it sees it.

mod driver;
mod exit;
mod family;
mod kill;
mod limits;
mod patience;
mod stage;
mod stdio;
mod wait;
mod wat;
mod with;
