//! What `#[main]` expands to.

use std::future::Future;
use std::process::ExitCode;

use capnp::capability::FromClientHook;

use crate::line::{Absent, Line};
use crate::outcome::Outcome;
use crate::transport::Transport;
use crate::{executor, panics};

pub use crate::transport::{Stdio, Streams, Turn};

/// Runs a `main` that takes no capability, without a connection.
pub fn alone<F>(main: impl FnOnce() -> F) -> ExitCode
where
    F: Future<Output: Outcome>,
{
    executor::run(main(), None::<Absent>)
        .map(Outcome::report)
        .unwrap_or_else(|error| Err::<(), _>(error).report())
}

/// Runs a `main` that takes the host's bootstrap capability.
pub fn connected<T, C, F>(main: impl FnOnce(C) -> F) -> ExitCode
where
    T: Transport,
    C: FromClientHook,
    F: Future<Output: Outcome>,
{
    panics::tell_by(T::panicked);
    let (line, bootstrap) = Line::<T>::open();
    executor::run(main(bootstrap), Some(line))
        .map(Outcome::report)
        .unwrap_or_else(|error| Err::<(), _>(error).report())
}
