use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::Host;
use super::wit::clocks::{monotonic_clock, wall_clock};
use crate::clock::{Clock, Sleep};

/// The guest's monotonic time when its cell begins. Not zero, which some guests take
/// for a clock that does not work (Go's runtime aborts), and no less in whole seconds.
const BEGIN: Duration = Duration::from_secs(1);

impl Host<'_> {
    /// Nanoseconds since the cell began, and [`BEGIN`]; a `u64` lasts for 584 years.
    fn monotonic(&self) -> u64 {
        let since = self.wasi.setup.clock.now().saturating_sub(self.wasi.start);
        let time = since.saturating_add(BEGIN);
        time.as_nanos().try_into().unwrap_or(u64::MAX)
    }

    /// A pollable for the monotonic time `when`.
    fn deadline(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let since = Duration::from_nanos(when).saturating_sub(BEGIN);
        let deadline = self.table.push(Deadline {
            clock: Arc::clone(&self.wasi.setup.clock),
            when: self.wasi.start.saturating_add(since),
            sleep: None,
        })?;
        // The pollable owns what it waits for: the guest has no handle to it.
        subscribe(self.table, deadline)
    }
}

impl monotonic_clock::Host for Host<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        let resolution = self.wasi.setup.clock.resolution();
        Ok(resolution.as_nanos().try_into().unwrap_or(u64::MAX))
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.deadline(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.deadline(self.monotonic().saturating_add(duration))
    }
}

impl wall_clock::Host for Host<'_> {
    /// A time before 1970 has no value in this interface, so it is 1970.
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let now = self.wasi.setup.clock.wall();
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        Ok(datetime(since.unwrap_or_default()))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(self.wasi.setup.clock.resolution()))
    }
}

fn datetime(since_epoch: Duration) -> wall_clock::Datetime {
    wall_clock::Datetime {
        seconds: since_epoch.as_secs(),
        nanoseconds: since_epoch.subsec_nanos(),
    }
}

struct Deadline {
    clock: Arc<dyn Clock>,
    when: Duration,
    /// Kept between polls, so that a guest that polls often registers once.
    sleep: Option<Sleep>,
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        if self.clock.now() >= self.when {
            self.sleep = None;
            return;
        }
        let sleep = self
            .sleep
            .get_or_insert_with(|| self.clock.sleep_until(self.when));
        sleep.await;
        self.sleep = None;
    }
}
