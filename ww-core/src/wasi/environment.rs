use super::Host;
use super::wit::cli::environment;

impl environment::Host for Host<'_> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.wasi.setup.env.clone())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.wasi.setup.args.clone())
    }

    /// As wasmtime's own command has it: none was chosen.
    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}
