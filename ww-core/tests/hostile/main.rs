//! Guests that nobody should trust, each beside a neighbour on the same
//! thread. The host sees how each ends, the neighbour is answered all along,
//! and nothing is left behind: no file, no thread, no memory mapping.
//!
//! ARCHITECTURE.md says in a table what each of them meets.
//!
//! The tests count what the whole process holds, so they take turns.
#![cfg(target_os = "linux")]

mod case;
mod component;
mod executors;
mod ground;
mod guests;
mod held;
mod host;
#[path = "../cell/patience.rs"]
mod patience;
#[path = "../cell/silent.rs"]
mod silent;
mod suite;
mod threads;
