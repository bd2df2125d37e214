//! Waiting for time to pass, on the guest's poll loop.

use std::time::Duration;

#[cfg(not(target_family = "wasm"))]
mod native;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native::pass;

/// Waits until `duration` has passed since this call was made.
///
/// In a [native test](crate::testing) time is made up: it passes at once, when
/// nothing else is left to do.
///
/// # Cancel safety
///
/// May be dropped at any time.
#[cfg(target_family = "wasm")]
pub fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
    use std::future::poll_fn;

    use wasip2::clocks::monotonic_clock;

    use crate::watch::Watch;

    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let watch = Watch::new(monotonic_clock::subscribe_duration(nanoseconds));
    async move { poll_fn(|cx| watch.poll_ready(cx)).await }
}

#[cfg(not(target_family = "wasm"))]
#[expect(missing_docs, reason = "documented above, for guests")]
pub fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
    native::Timer::new(duration)
}

/// Time passes by itself, and who waits for it waits for a pollable.
#[cfg(target_family = "wasm")]
pub(crate) fn pass() -> bool {
    false
}
