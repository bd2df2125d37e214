use std::sync::Arc;

use crate::clock::Clock;
use crate::random::{self, Random};
use crate::runtime::Runtime;

/// Where a cell has its time and randomness from, and its children theirs: where
/// it is not said, the runtime's clock and the system's generator.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) random: Option<random::Common>,
}

impl Sources {
    pub(super) fn clock(&self, runtime: &Runtime) -> Arc<dyn Clock> {
        self.clock.clone().unwrap_or_else(|| runtime.clock())
    }

    pub(super) fn random(&self) -> Box<dyn Random> {
        match &self.random {
            Some(common) => Box::new(common.clone()),
            None => Box::new(random::System),
        }
    }
}
