use std::fmt;
use std::time::Duration;

use capnp::Error;

use crate::{Call, Policy, Verdict};

/// Denies calls in either direction once its time has come. What is in flight
/// then goes on; to end that too, revoke the membrane.
pub struct Expiry<C> {
    clock: C,
    at: Duration,
}

impl<C: Fn() -> Duration + 'static> Expiry<C> {
    /// Denies calls when `clock` says `at` or later. The clock is the caller's,
    /// and counts from wherever `at` does.
    pub fn new(clock: C, at: Duration) -> Self {
        Self { clock, at }
    }
}

impl<C: Fn() -> Duration + 'static> Policy for Expiry<C> {
    fn inbound(&self, _: &Call) -> Verdict {
        if (self.clock)() < self.at {
            Verdict::pass()
        } else {
            Verdict::deny(Error::disconnected("this capability has expired".into()))
        }
    }

    fn outbound(&self, call: &Call) -> Verdict {
        self.inbound(call)
    }

    fn describe(&self) -> String {
        format!("until {:?} on its clock", self.at)
    }
}

impl<C> fmt::Debug for Expiry<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expiry")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
