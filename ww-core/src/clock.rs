//! Time as cells see it, from a source that can be replaced.
//!
//! [`System`] is the machine's own time with one lazy timer thread; [`Virtual`]
//! stands still until it is told to advance, so that tests wait for nothing.
//!
//! [`Clock`] is the loaders' own trait, so that one clock serves all:
//! [`Runtime::clock`](crate::Runtime::clock) is what blocks and stems of an
//! application should be given.

pub use ww_loader::clock::{Clock, Sleep};

pub use self::system::System;
pub use self::r#virtual::Virtual;

pub(crate) use self::timer::{Registration, Timer};

mod deadlines;
mod system;
mod timer;
mod r#virtual;
