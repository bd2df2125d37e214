//! Waiting for time to pass, on the guest's poll loop.

#[cfg(not(target_family = "wasm"))]
#[path = "time/native.rs"]
mod clock;
#[cfg(target_family = "wasm")]
#[path = "time/wasi.rs"]
mod clock;
mod timers;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, FusedFuture, FutureExt, select};

use timers::Timer;

pub(crate) use clock::pass;

/// Waits until `duration` has passed since this call was made.
///
/// However short that is, whatever else has something to do goes first. Those who
/// wait are woken in the order of their deadlines. However many there are, the host
/// knows of one.
///
/// In a [native test](crate::testing) time is made up: it passes at once, when
/// nothing else is left to do.
///
/// ```
/// use std::time::Duration;
///
/// use ww_guest_sdk::futures::select;
/// use ww_guest_sdk::{closed, time};
///
/// # async fn example() {
/// let mut end = closed();
/// loop {
///     select! {
///         () = time::sleep(Duration::from_secs(1)) => println!("still here"),
///         _ = end => break,
///     }
/// }
/// # }
/// ```
///
/// # Cancel safety
///
/// May be dropped at any time.
pub fn sleep(duration: Duration) -> impl FusedFuture<Output = ()> + Unpin + 'static {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    Timer::new(clock::now().saturating_add(nanoseconds))
}

/// Waits for `future`, and gives it up when `duration` has passed since this call
/// was made. One that is done by then counts as in time.
///
/// ```
/// use std::time::Duration;
///
/// use ww_guest_sdk::time::{Elapsed, timeout};
///
/// # async fn example() {
/// let never = std::future::pending::<()>();
/// assert_eq!(timeout(Duration::from_secs(1), never).await, Err(Elapsed));
/// # }
/// ```
///
/// # Errors
///
/// The time is over.
///
/// # Cancel safety
///
/// That of `future`, which is dropped with this.
pub fn timeout<F: Future>(
    duration: Duration,
    future: F,
) -> impl FusedFuture<Output = Result<F::Output, Elapsed>> {
    let time = sleep(duration);
    let first = async move {
        match select(pin!(future), time).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(((), _)) => Err(Elapsed),
        }
    };
    first.fuse()
}

/// What was waited for has not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

impl std::error::Error for Elapsed {}

/// Has the host's next turn tell when the earliest deadline has come.
pub(crate) fn watch() {
    clock::watch(timers::earliest());
}

/// Wakes those whose time has come, as the host's last turn told.
pub(crate) fn wake() {
    if clock::has_rung() {
        timers::wake(clock::now());
    }
}
