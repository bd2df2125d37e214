use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::{Error, recorder};

/// What a guest's `main` may return.
pub trait Outcome {
    /// Reports the outcome, and says how the process ends.
    fn report(self) -> ExitCode;
}

/// An exit code of the guest's choice. Zero is success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Outcome for () {
    fn report(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl Outcome for Exit {
    fn report(self) -> ExitCode {
        #[cfg(target_family = "wasm")]
        if self.0 > 1 {
            // The standard library's way out on this target knows success and
            // failure only.
            let _ = io::stdout().flush();
            wasip2::cli::exit::exit_with_code(self.0);
        }
        ExitCode::from(self.0)
    }
}

impl<T: Outcome, E: Into<Error>> Outcome for Result<T, E> {
    fn report(self) -> ExitCode {
        match self {
            Ok(outcome) => outcome.report(),
            Err(error) => {
                let error = error.into();
                if !recorder::record("main", &error.to_string(), None) {
                    // With standard error gone there is nowhere left to say it.
                    let _ = writeln!(io::stderr(), "Error: {error}");
                }
                ExitCode::FAILURE
            }
        }
    }
}
