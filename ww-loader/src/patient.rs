use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Clock;
use crate::{Error, Loader, Node, Path};

/// A loader that is asked again where its failure may pass.
///
/// What is absent stays absent: only failures of which
/// [`Error::is_passing`] holds are tried again, after a pause that doubles each
/// time. Reading a file that is open is not repeated.
#[derive(Clone)]
pub struct Patient<L, C> {
    loader: L,
    clock: C,
    times: u32,
    pause: Duration,
}

impl<L: Loader, C: Clock> Patient<L, C> {
    /// Asks `loader` up to `times` times, at least once, with a first pause of
    /// `pause` on `clock`.
    pub fn new(loader: L, clock: C, times: u32, pause: Duration) -> Self {
        Self {
            loader,
            clock,
            times,
            pause,
        }
    }
}

#[async_trait]
impl<L: Loader, C: Clock> Loader for Patient<L, C> {
    async fn open(&self, path: &Path) -> Result<Node, Error> {
        let mut pause = self.pause;
        for _ in 1..self.times {
            match self.loader.open(path).await {
                Err(error) if error.is_passing() => {}
                answer => return answer,
            }
            let until = self.clock.now().saturating_add(pause);
            self.clock.sleep_until(until).await;
            pause = pause.saturating_mul(2);
        }
        self.loader.open(path).await
    }
}

impl<L: fmt::Debug, C> fmt::Debug for Patient<L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patient")
            .field("loader", &self.loader)
            .field("times", &self.times)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}
