use std::fmt;
use std::sync::{Arc, Mutex};

use super::blocks::Inner;
use super::ipns::{Name, Seen};
use super::memory::Memory;
use super::turns::Turns;
use super::{Blocks, Limits, Retry, Source};
use crate::Flights;
use crate::clock::{self, Clock};

/// What [`Blocks`] are made of.
pub struct Builder {
    sources: Vec<Arc<dyn Source>>,
    clock: Arc<dyn Clock>,
    memory: usize,
    #[cfg(unix)]
    disk: Option<super::Disk>,
    limits: Limits,
    retry: Retry,
    seen: Seen,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            sources: Vec::new(),
            clock: Arc::new(clock::System::new()),
            memory: 64 << 20,
            #[cfg(unix)]
            disk: None,
            limits: Limits::default(),
            retry: Retry::default(),
            seen: Seen::new(),
        }
    }

    /// Asks `source` where all before it give nothing.
    #[must_use]
    pub fn source(mut self, source: impl Source + 'static) -> Self {
        self.sources.push(Arc::new(source));
        self
    }

    /// Takes time from `clock` instead of the machine's own.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Keeps `bytes` bytes of blocks in memory at most, 64 MiB if this is not
    /// said.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Keeps blocks on disk, too.
    #[cfg(unix)]
    #[must_use]
    pub fn disk(mut self, disk: super::Disk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Takes no more than `limits` from sources and trees.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Asks and waits as `retry` says.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// A version of a name that was seen before, in an earlier run say
    /// ([`Blocks::seen`]): no older one is taken for the name's. Of some thousand
    /// names, those that were asked for last are remembered.
    #[must_use]
    pub fn known(self, name: &Name, sequence: u64) -> Self {
        self.seen.know(name, sequence);
        self
    }

    /// The blocks.
    pub fn build(self) -> Blocks {
        Blocks(Arc::new(Inner {
            turns: Turns::new(self.sources, self.retry),
            clock: self.clock,
            memory: Mutex::new(Memory::new(self.memory)),
            #[cfg(unix)]
            disk: self.disk,
            limits: self.limits,
            retry: self.retry,
            flights: Flights::default(),
            seen: self.seen,
        }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.sources.iter().map(|source| source.name()).collect();
        f.debug_struct("Builder")
            .field("sources", &sources)
            .field("memory", &self.memory)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
