use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ww_loader::clock::{Clock, Sleep};

/// Time that passes only while somebody sleeps, and then at once.
#[derive(Clone, Default)]
pub(crate) struct Skipping(Arc<Mutex<(Duration, Vec<Duration>)>>);

impl Skipping {
    /// How long each sleep was since this was last asked; those of no time are
    /// left out.
    pub(crate) fn slept(&self) -> Vec<Duration> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

impl Clock for Skipping {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().0
    }

    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.now()
    }

    fn sleep_until(&self, deadline: Duration) -> Sleep {
        let (now, slept) = &mut *self.0.lock().unwrap();
        if deadline > *now {
            slept.push(deadline - *now);
            *now = deadline;
        }
        Box::pin(ready(()))
    }
}
