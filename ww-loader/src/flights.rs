mod shared;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt;

use shared::Shared;

/// Work under way, by key, so that who wants the same waits for the same. Clones share
/// it.
///
/// - Work goes on in whoever of those that wait for it is polled, and is dropped with
///   the last of them: one that leaves, or is not polled, holds up no other.
/// - What it gives, an error too, all of them get that waited when it ended. It is not
///   kept: who comes later begins anew.
///
/// ```
/// use futures_lite::future::{block_on, yield_now, zip};
/// use ww_loader::Flights;
///
/// let flights = Flights::new();
/// let read = |text: &'static str| async move {
///     yield_now().await;
///     text
/// };
/// let both = zip(flights.join("key", read("one")), flights.join("key", read("two")));
/// assert_eq!(block_on(both), ("one", "one"));
/// assert_eq!(block_on(flights.join("key", read("two"))), "two");
/// ```
pub struct Flights<K: Hash + Eq, T>(Arc<Mutex<Map<K, T>>>);

/// Those that somebody waits for.
type Map<K, T> = HashMap<K, Weak<Flight<K, T>>>;

/// Never dropped while the map is locked.
struct Flight<K: Hash + Eq, T> {
    key: K,
    map: Arc<Mutex<Map<K, T>>>,
    work: Arc<Shared<T>>,
}

impl<K, T> Flights<K, T>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Without work.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the work under way for `key` gives or, if there is none, `work`.
    ///
    /// # Panics
    ///
    /// Where the work panics, for all who wait for it.
    ///
    /// # Cancel safety
    ///
    /// Nothing happens before this is polled. Dropped, it leaves the work to the others
    /// who wait, or drops it.
    pub async fn join(&self, key: K, work: impl Future<Output = T> + Send + 'static) -> T {
        // Held until the work is through.
        let flight = self.board(key, work);
        flight.work.wait().await
    }

    fn board(&self, key: K, work: impl Future<Output = T> + Send + 'static) -> Arc<Flight<K, T>> {
        let mut flights = lock(&self.0);
        if let Some(under_way) = flights.get(&key).and_then(Weak::upgrade) {
            return under_way;
        }
        let (map, ends) = (self.0.clone(), key.clone());
        let work = async move {
            let done = AssertUnwindSafe(work).catch_unwind().await;
            // While somebody polls this, nobody has begun anew.
            lock(&map).remove(&ends);
            done.unwrap_or_else(|panic| resume_unwind(panic))
        };
        let flight = Arc::new(Flight {
            key: key.clone(),
            map: self.0.clone(),
            work: Shared::new(work),
        });
        flights.insert(key, Arc::downgrade(&flight));
        flight
    }
}

impl<K: Hash + Eq, T> Drop for Flight<K, T> {
    fn drop(&mut self) {
        let mut flights = lock(&self.map);
        let flight = flights.get(&self.key);
        // Somebody may have begun anew after the last who waited for this one left.
        if flight.is_some_and(|flight| flight.strong_count() == 0) {
            flights.remove(&self.key);
        }
    }
}

/// Every change of the map is whole before it can panic.
fn lock<K, T>(map: &Mutex<HashMap<K, T>>) -> MutexGuard<'_, HashMap<K, T>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Hash + Eq, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Hash + Eq, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq, T> fmt::Debug for Flights<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flights({} under way)", lock(&self.0).len())
    }
}
