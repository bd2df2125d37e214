use super::Host;
use super::wit::cli::environment;

impl environment::Host for Host<'_> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.wasi.setup.env.clone())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.wasi.setup.args.clone())
    }

    /// The root, where there is one: some languages' libraries resolve no relative
    /// path without this.
    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        let root = self.wasi.mounts.iter().find(|mount| mount.path() == "/");
        Ok(root.map(|root| root.path().to_owned()))
    }
}
