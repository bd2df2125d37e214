use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::Host;
use super::wit::cli::{stderr, stdin, stdout};

impl stdin::Host for Host<'_> {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        Ok(self.table.push(self.wasi.setup.stdin.open())?)
    }
}

impl stdout::Host for Host<'_> {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        Ok(self.table.push(self.wasi.setup.stdout.open())?)
    }
}

impl stderr::Host for Host<'_> {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        Ok(self.table.push(self.wasi.setup.stderr.open())?)
    }
}
