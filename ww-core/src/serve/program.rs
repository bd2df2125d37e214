use std::rc::Rc;

use capnp::Error;
use ww_rpc::cell_capnp::program::{self, SpawnParams, SpawnResults};

use super::options::{Options, handed_down};
use super::quota::Share;
use super::spawner::Spawner;
use crate::Program;

/// The server of the wire's `Program`: a compiled component, ready to run.
pub(super) struct Compiled {
    spawner: Rc<Spawner>,
    program: Program,
    _held: Share,
}

impl Compiled {
    pub(super) fn new(spawner: Rc<Spawner>, held: Share, program: Program) -> Self {
        Self {
            spawner,
            program,
            _held: held,
        }
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
        let process = self
            .spawner
            .spawn(self.program.clone(), options, bootstrap)
            .await?;
        results.get().set_process(process);
        Ok(())
    }
}
