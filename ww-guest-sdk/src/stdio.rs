//! Standard streams on the guest's poll loop: a task that waits for them lets
//! the connection and other tasks go on, which `std::io` does not.

mod input;
mod output;

pub use input::Input;
pub use output::Output;

/// Standard input. Not for guests whose transport is `stdio`.
pub fn stdin() -> Input {
    Input::new(wasip2::cli::stdin::get_stdin())
}

/// Standard output, without a buffer. Not for guests whose transport is
/// `stdio`.
pub fn stdout() -> Output {
    Output::new(wasip2::cli::stdout::get_stdout())
}

/// Standard error, without a buffer.
pub fn stderr() -> Output {
    Output::new(wasip2::cli::stderr::get_stderr())
}
