use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::Error;

type Work = BoxFuture<'static, Result<Bytes, Error>>;

/// Requests under way, by multihash, so that who wants the same waits for the
/// same. A request lives while somebody waits for it.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Box<[u8]>, WeakShared<Work>>>);

impl Flights {
    /// What the request under way for `hash` gives, or, if there is none,
    /// `work`.
    pub(super) async fn join(
        &self,
        hash: &[u8],
        work: impl Future<Output = Result<Bytes, Error>> + Send + 'static,
    ) -> Result<Bytes, Error> {
        let shared = self.board(hash, work);
        let result = shared.clone().await;
        drop(shared);
        self.sweep(hash);
        result
    }

    fn board(
        &self,
        hash: &[u8],
        work: impl Future<Output = Result<Bytes, Error>> + Send + 'static,
    ) -> Shared<Work> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = flights.get(hash).and_then(WeakShared::upgrade);
        if let Some(shared) = under_way {
            return shared;
        }
        let shared = work.boxed().shared();
        if let Some(weak) = shared.downgrade() {
            flights.insert(hash.into(), weak);
        }
        shared
    }

    /// Forgets the request, and any that nobody waits for.
    fn sweep(&self, hash: &[u8]) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that ended has kept its block, or failed and is tried anew.
        flights.remove(hash);
        if flights.len() > 64 {
            flights.retain(|_, weak| weak.upgrade().is_some());
        }
    }
}
