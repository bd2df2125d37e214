use std::io;

use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError};

use super::Host;
use super::counted::Counted;
use super::wit::cli::{stderr, stdin, stdout};

/// What a guest is told where the host's side of a stream has failed: that it is
/// closed where nobody is there any more, and otherwise the error, of which
/// `filesystem-error-code` knows the code.
pub(super) fn failed(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}

impl stdin::Host for Host<'_> {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        let setup = &self.wasi.setup;
        let stream = Counted::new(setup.stdin.open(), &setup.shared);
        Ok(self.table.push(Box::new(stream) as DynInputStream)?)
    }
}

impl stdout::Host for Host<'_> {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let setup = &self.wasi.setup;
        let stream = Counted::new(setup.stdout.open(), &setup.shared);
        Ok(self.table.push(Box::new(stream) as DynOutputStream)?)
    }
}

impl stderr::Host for Host<'_> {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let setup = &self.wasi.setup;
        let stream = Counted::new(setup.stderr.open(), &setup.shared);
        Ok(self.table.push(Box::new(stream) as DynOutputStream)?)
    }
}
