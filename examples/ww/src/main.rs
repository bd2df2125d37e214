//! `ww run [--stdio] IMAGE [LAYER…] [-- ARGS…]` boots an image in a cell.
//!
//! The terminal is the cell's stdio, unless that is its RPC connection; its exit code becomes the command's own,
//! and its bootstrap capability is a membrane that grants the host and an
//! executor to whoever grafts.

mod command;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use command::{Command, Run};
use futures_lite::future::block_on;
use ww_core::cell::{Builder, Input, Output, Transport};
use ww_core::network::Offline;
use ww_core::session::Wetware;
use ww_core::{Error as CellError, Runtime};
use ww_image::Image;
use ww_membrane::{Admission, Epoch, Epochs, membrane};

/// What a shell reports for a command that crashed.
const ABORTED: u8 = 134;

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a command: this is how it speaks"
)]
fn main() -> ExitCode {
    let run = match command::parse() {
        Ok(Command::Run(run)) => run,
        Ok(Command::Help) => {
            print!("{}", command::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("ww: {error}\n{}", command::USAGE);
            return ExitCode::from(2);
        }
    };
    match block_on(boot(run)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("ww: {}", chain(&error));
            if let CellError::Trap { backtrace, .. } = &error {
                eprintln!("{backtrace}");
                return ExitCode::from(ABORTED);
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs the image to its end, and answers its exit code.
async fn boot(run: Run) -> Result<u8, CellError> {
    let runtime = Runtime::shared()?;
    let cell = Builder::new()
        .image(Image::new(run.layers))
        .args(run.args)
        .stderr(Output::inherit());
    let cell = match run.stdio {
        true => cell.transport(Transport::Stdio),
        false => cell.stdin(Input::inherit()).stdout(Output::inherit()),
    };
    let cell = cell
        .bootstrap(move |local| {
            let session = Wetware::new(local, &runtime, Arc::new(Offline::new()));
            Ok(membrane(
                Epochs::new(Epoch::default()),
                Admission::open(),
                session,
            ))
        })
        .spawn()
        .await?;
    let code = cell.wait().await?.code();
    // Beyond a byte an exit code cannot go on most systems, and must not
    // become a success on the way.
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
