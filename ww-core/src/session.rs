//! The session that a host grants unless the application brings its own.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use ww_membrane::{SessionContext, SessionExtensionBuilder};
use ww_rpc::membrane_capnp::wetware_session;

use crate::Runtime;
use crate::cell::Local;
use crate::network::Network;
use crate::serve::{Host, Spawner};

/// Fills a `WetwareSession`: this host, and an executor that runs cells beside
/// the one that grafted.
///
/// Made on the cell's thread, in its bootstrap factory, and given to
/// [`ww_membrane::membrane`]. An application that extends the session nests
/// a `WetwareSession` in a struct of its own and calls `build` for that field.
pub struct Wetware {
    local: Local,
    runtime: Runtime,
    network: Arc<dyn Network>,
}

impl Wetware {
    /// Sessions for the cell of `local`. Their executor spawns on `runtime`,
    /// and their host stands on `network`.
    pub fn new(local: &Local, runtime: &Runtime, network: Arc<dyn Network>) -> Self {
        Self {
            local: local.clone(),
            runtime: runtime.clone(),
            network,
        }
    }
}

impl SessionExtensionBuilder<wetware_session::Owned> for Wetware {
    fn build(
        &self,
        session: &SessionContext,
        mut ext: wetware_session::Builder<'_>,
    ) -> Result<(), capnp::Error> {
        let spawner = Spawner::beside(&self.local, &self.runtime, self.network.clone());
        let spawner = Rc::new(spawner.membrane(session.membrane().clone()));
        ext.set_host(Host::new(spawner.clone()).client());
        ext.set_executor(spawner.client());
        Ok(())
    }
}

impl fmt::Debug for Wetware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wetware")
            .field("host", &self.network.local())
            .finish_non_exhaustive()
    }
}
