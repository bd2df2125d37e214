use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use capnp::Error;

use crate::{Call, Policy, Verdict};

/// Denies calls from outside that come faster than they may: a bucket of
/// tokens, one of which each call takes, and to which time adds.
///
/// Clones take from the same bucket. What is denied takes no token. Calls from
/// inside to what was handed in are not limited.
///
/// ```
/// use std::time::{Duration, Instant};
/// use ww_membrane::Membrane;
/// use ww_membrane::policies::Rate;
///
/// let start = Instant::now();
/// // Ten at once, and then one each 100 ms.
/// let rate = Rate::new(move || start.elapsed(), 10, Duration::from_millis(100));
/// let membrane = Membrane::policed(rate);
/// ```
pub struct Rate<C> {
    shared: Rc<Shared<C>>,
}

struct Shared<C> {
    clock: C,
    burst: u64,
    every: Duration,
    bucket: Cell<Bucket>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: u64,
    /// When the last token was added, or the bucket was last seen full.
    since: Duration,
}

impl<C: Fn() -> Duration + 'static> Rate<C> {
    /// Passes `burst` calls at once, and then one `every` so often. Zero for
    /// `every` limits nothing but a `burst` of zero, which denies all.
    ///
    /// The clock is the caller's, counts from wherever it likes, and should not
    /// go back; while it is behind where it was, no tokens are added.
    pub fn new(clock: C, burst: u64, every: Duration) -> Self {
        let bucket = Cell::new(Bucket {
            tokens: burst,
            since: clock(),
        });
        Self {
            shared: Rc::new(Shared {
                clock,
                burst,
                every,
                bucket,
            }),
        }
    }
}

impl<C: Fn() -> Duration> Shared<C> {
    fn take(&self) -> bool {
        let now = (self.clock)();
        let mut bucket = self.bucket.get();
        let missing = self.burst - bucket.tokens;
        let elapsed = now.saturating_sub(bucket.since).as_nanos();
        let gained = elapsed.checked_div(self.every.as_nanos());
        match gained.and_then(|gained| u32::try_from(gained).ok()) {
            Some(gained) if u64::from(gained) < missing => {
                bucket.tokens += u64::from(gained);
                bucket.since += self.every * gained;
            }
            _ => {
                bucket.tokens = self.burst;
                bucket.since = bucket.since.max(now);
            }
        }
        let taken = bucket.tokens.checked_sub(1);
        bucket.tokens = taken.unwrap_or(0);
        self.bucket.set(bucket);
        taken.is_some()
    }
}

impl<C: Fn() -> Duration + 'static> Policy for Rate<C> {
    fn inbound(&self, _: &Call) -> Verdict {
        if self.shared.take() {
            return Verdict::pass();
        }
        Verdict::deny(Error::overloaded(format!(
            "calls come too fast: one is allowed every {:?}, and {} at once",
            self.shared.every, self.shared.burst
        )))
    }

    fn describe(&self) -> String {
        let Shared { burst, every, .. } = &*self.shared;
        format!("one call every {every:?}, {burst} at once")
    }
}

impl<C> Clone for Rate<C> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<C> fmt::Debug for Rate<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rate")
            .field("burst", &self.shared.burst)
            .field("every", &self.shared.every)
            .finish_non_exhaustive()
    }
}
