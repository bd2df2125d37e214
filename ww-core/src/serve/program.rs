use std::rc::Rc;

use capnp::Error;
use ww_rpc::cell_capnp::program::{self, SpawnParams, SpawnResults};

use super::options::{Options, handed_down};
use super::quota::Held;
use super::spawner::Spawner;

/// The server of the wire's `Program`: a compiled component, ready to run.
pub(super) struct Compiled {
    spawner: Rc<Spawner>,
    program: Rc<Held>,
}

impl Compiled {
    pub(super) fn new(spawner: Rc<Spawner>, program: Rc<Held>) -> Self {
        Self { spawner, program }
    }
}

impl program::Server for Compiled {
    async fn spawn(
        self: Rc<Self>,
        params: SpawnParams,
        mut results: SpawnResults,
    ) -> Result<(), Error> {
        let (options, bootstrap) = {
            let params = params.get()?;
            let options = Options::read(params.get_options()?, self.spawner.own_limits())?;
            (options, handed_down(params.get_bootstrap())?)
        };
        drop(params);
        let spawner = self.spawner.clone();
        let process = spawner.spawn(self.program.clone(), None, options, bootstrap);
        let process = process.await?;
        results.get().set_process(process);
        Ok(())
    }
}
