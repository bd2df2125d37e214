use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_io::Timer;
use futures_lite::future::or;

#[cfg(test)]
mod tests;

/// Requests that go on at a time. Each may hold a thread of the pool for as long as
/// its peer likes, also where nobody waits for it any more, and others need some of
/// its five hundred, to read files and to compile.
pub(super) const MOST: usize = 128;

/// Requests to one server that go on at a time: one that never answers leaves room for
/// those that do.
pub(super) const SHARE: usize = MOST / 4;

/// After this, whoever waits looks for room without being called: one that was called
/// and is not polled cannot be told from one that is about to come.
const AGAIN: Duration = Duration::from_secs(1);

/// Who waits until fewer requests go on.
///
/// Those for whom there is room are called in the order in which they came, but room
/// is nobody's until it is taken: who was called and is not polled is in nobody's way.
/// No request goes on for somebody who was not polled, so that those who are stuck
/// have no connections.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    running: usize,
    /// Those that something is asked of, or shall be.
    servers: HashMap<String, Server>,
    /// How many places were given out.
    places: u64,
}

#[derive(Default)]
struct Server {
    running: usize,
    /// Who waits and was not called, by place.
    waiting: BTreeMap<u64, Waker>,
}

/// The turn of a request, over when it is dropped.
pub(super) struct Turn {
    turns: Turns,
    server: String,
}

/// A place among those who wait, left when it is dropped.
struct Place<'a> {
    turns: &'a Turns,
    server: String,
    /// Given out where there was no room.
    number: Option<u64>,
}

impl Turns {
    /// The turn of a request to `server`, once there is room for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the room to others.
    pub(super) async fn next(&self, server: String) -> Turn {
        let mut place = Place {
            turns: self,
            server,
            number: None,
        };
        loop {
            let called = poll_fn(|context| place.poll(context).map(Some));
            let again = async {
                Timer::after(AGAIN).await;
                None
            };
            if let Some(turn) = or(called, again).await {
                return turn;
            }
        }
    }

    /// Calls whoever has room after `change`.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let next = {
            let mut state = self.lock();
            change(&mut state);
            state.call()
        };
        // With the state unlocked: who is called may come at once.
        if let Some(next) = next {
            next.wake();
        }
    }

    /// Every change is whole before it can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place<'_> {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Turn> {
        let mut state = self.turns.lock();
        let State {
            running,
            servers,
            places,
        } = &mut *state;
        let server = servers.entry(self.server.clone()).or_default();
        if *running == MOST || server.running == SHARE {
            let number = *self.number.get_or_insert_with(|| {
                *places += 1;
                *places
            });
            // Whoever was called and came too late has the place still.
            let before = server.waiting.insert(number, context.waker().clone());
            drop(state);
            // With the state unlocked: it runs code that is not ours.
            drop(before);
            return Poll::Pending;
        }
        *running += 1;
        server.running += 1;
        Poll::Ready(Turn {
            turns: self.turns.clone(),
            server: self.server.clone(),
        })
    }
}

impl State {
    /// Who has waited longest of those for whom there is room.
    fn call(&mut self) -> Option<Waker> {
        if self.running == MOST {
            return None;
        }
        let servers = self.servers.values_mut();
        let open = servers.filter(|server| server.running < SHARE);
        let first = open.filter_map(|server| server.waiting.first_entry());
        first
            .min_by_key(|waits| *waits.key())
            .map(|waits| waits.remove())
    }

    /// Changes what is known of a server, and forgets one that nothing is asked of.
    fn at(&mut self, name: &str, change: impl FnOnce(&mut Server)) {
        let Some(server) = self.servers.get_mut(name) else {
            return;
        };
        change(server);
        if server.running == 0 && server.waiting.is_empty() {
            self.servers.remove(name);
        }
    }
}

/// Also where the turn was taken: there may be room for others whose call was lost on
/// somebody who does not come.
impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Self { server, number, .. } = self;
        // Dropped with the state unlocked: it runs code that is not ours.
        let mut waker = None;
        self.turns.change(|state| {
            state.at(server, |server| {
                waker = number.and_then(|number| server.waiting.remove(&number));
            });
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.change(|state| {
            state.running -= 1;
            state.at(&self.server, |server| server.running -= 1);
        });
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turns({} running)", self.lock().running)
    }
}
