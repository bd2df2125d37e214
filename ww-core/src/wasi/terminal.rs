use wasmtime::component::Resource;

use super::Host;
use super::wit::cli::{
    terminal_input, terminal_output, terminal_stderr, terminal_stdin, terminal_stdout,
};

/// That a standard stream is a terminal. There is nothing to do with it.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub struct Terminal;

impl Host<'_> {
    fn terminal(&mut self, is_one: bool) -> wasmtime::Result<Option<Resource<Terminal>>> {
        Ok(is_one.then(|| self.table.push(Terminal)).transpose()?)
    }
}

impl terminal_stdin::Host for Host<'_> {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<Terminal>>> {
        self.terminal(self.wasi.setup.stdin.is_terminal())
    }
}

impl terminal_stdout::Host for Host<'_> {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<Terminal>>> {
        self.terminal(self.wasi.setup.stdout.is_terminal())
    }
}

impl terminal_stderr::Host for Host<'_> {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<Terminal>>> {
        self.terminal(self.wasi.setup.stderr.is_terminal())
    }
}

impl terminal_input::Host for Host<'_> {}

impl terminal_input::HostTerminalInput for Host<'_> {
    fn drop(&mut self, terminal: Resource<Terminal>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::Host for Host<'_> {}

impl terminal_output::HostTerminalOutput for Host<'_> {
    fn drop(&mut self, terminal: Resource<Terminal>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}
