use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_lock::{Semaphore, SemaphoreGuardArc};

/// Requests that go on at a time. Each may hold a thread of the pool for as long as
/// its peer likes, also where nobody waits for it any more, and others need some of
/// its five hundred, to read files and to compile.
pub(super) const MOST: usize = 128;

/// Requests to one server that go on at a time: one that never answers leaves room for
/// those that do.
pub(super) const SHARE: usize = MOST / 4;

/// Who waits until fewer requests go on.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// By server, those that something is asked of.
    servers: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The turn of a request, over when it is dropped.
pub(super) struct Turn {
    _all: SemaphoreGuardArc,
    _server: SemaphoreGuardArc,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MOST)),
            servers: Mutex::default(),
        }
    }

    pub(super) async fn next(&self, server: String) -> Turn {
        // Whoever waits for its server takes no turn from others.
        let server = self.server(server).acquire_arc().await;
        Turn {
            _server: server,
            _all: self.all.acquire_arc().await,
        }
    }

    fn server(&self, name: String) -> Arc<Semaphore> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = servers.get(&name).and_then(Weak::upgrade) {
            return turns;
        }
        servers.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::new(Semaphore::new(SHARE));
        servers.insert(name, Arc::downgrade(&turns));
        turns
    }
}
