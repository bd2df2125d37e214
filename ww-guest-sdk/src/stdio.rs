//! Standard streams on the guest's poll loop: a task that waits for them lets
//! the connection and other tasks go on, which `std::io` does not.
//!
//! In a [native test](crate::testing) there is nothing to read, and what is
//! written goes where the test's own output goes.

#[cfg(target_family = "wasm")]
mod input;
#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod output;

#[cfg(not(target_family = "wasm"))]
pub use native::{Input, Output};
#[cfg(target_family = "wasm")]
pub use {input::Input, output::Output};

/// Standard input. Not for guests whose transport is `stdio`.
pub fn stdin() -> Input {
    #[cfg(target_family = "wasm")]
    return Input::new(wasip2::cli::stdin::get_stdin());
    #[cfg(not(target_family = "wasm"))]
    Input
}

/// Standard output, without a buffer. Not for guests whose transport is
/// `stdio`.
pub fn stdout() -> Output {
    #[cfg(target_family = "wasm")]
    return Output::new(wasip2::cli::stdout::get_stdout());
    #[cfg(not(target_family = "wasm"))]
    Output::printing(false)
}

/// Standard error, without a buffer.
pub fn stderr() -> Output {
    #[cfg(target_family = "wasm")]
    return Output::new(wasip2::cli::stderr::get_stderr());
    #[cfg(not(target_family = "wasm"))]
    Output::printing(true)
}

/// A failure of a stream that is known by the host's words alone.
#[cfg(target_family = "wasm")]
pub(crate) fn failure(error: &wasip2::io::error::Error) -> std::io::Error {
    std::io::Error::other(error.to_debug_string())
}
