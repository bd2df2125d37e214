//! Waiting for time to pass, on the guest's poll loop.

use std::future::poll_fn;
use std::time::Duration;

use wasip2::clocks::monotonic_clock;

use crate::watch::Watch;

/// Waits until `duration` has passed since this call was made.
///
/// # Cancel safety
///
/// May be dropped at any time.
pub fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let watch = Watch::new(monotonic_clock::subscribe_duration(nanoseconds));
    async move { poll_fn(|cx| watch.poll_ready(cx)).await }
}
