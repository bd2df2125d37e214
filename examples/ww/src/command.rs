//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};

pub(crate) const USAGE: &str = "\
Boots an image in a cell, with the terminal as its stdio.

Usage: ww run [--stdio] IMAGE [LAYER...] [-- ARGS...]

  IMAGE   directory that holds bin/main.wasm, or whose layers do
  LAYER   directories laid over it: files in later ones win
  ARGS    what the cell gets as arguments, after main.wasm

  --stdio   the cell speaks RPC over its standard input and output, and text on
            its standard error alone
";

pub(crate) enum Command {
    Run(Run),
    Help,
}

pub(crate) struct Run {
    /// Lowest first; at least one.
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) args: Vec<OsString>,
    /// Whether its standard streams are its RPC connection.
    pub(crate) stdio: bool,
}

pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    // What follows `--` is the cell's, even where it looks like ours.
    let mut ours: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut args = Vec::new();
    if let Some(end) = ours.iter().position(|argument| argument == "--") {
        args = ours.split_off(end).split_off(1);
    }

    let mut words = Vec::new();
    let mut stdio = false;
    let mut parser = lexopt::Parser::from_args(ours);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("stdio") => stdio = true,
            Value(word) => words.push(word),
            other => return Err(other.unexpected()),
        }
    }
    let mut words = words.into_iter();
    match words.next() {
        Some(verb) if verb == "run" => {}
        Some(verb) => return Err(format!("no such command: {}", verb.display()).into()),
        None => return Err("no command given".into()),
    }
    let layers: Vec<PathBuf> = words.map(PathBuf::from).collect();
    if layers.is_empty() {
        return Err("no image given".into());
    }
    Ok(Command::Run(Run {
        layers,
        args,
        stdio,
    }))
}
