use std::future::Future;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;

/// Wakes all who wait for it.
#[derive(Default)]
pub(super) struct Bell(Mutex<Option<Rope>>);

/// The end that rings when it is dropped, and the end that hears of it.
type Rope = (oneshot::Sender<()>, Shared<oneshot::Receiver<()>>);

impl Bell {
    /// Ready once it has been rung after this call.
    pub(super) fn rung(&self) -> impl Future<Output = ()> + Send + Unpin + use<> {
        let mut rope = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, hears) = rope.get_or_insert_with(|| {
            let (rings, hears) = oneshot::channel();
            (rings, hears.shared())
        });
        hears.clone().map(drop)
    }

    pub(super) fn ring(&self) {
        let rope = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(rope);
    }
}
