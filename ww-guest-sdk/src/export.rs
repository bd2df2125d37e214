use std::cell::RefCell;

use capnp::capability::{Client, FromClientHook};
use futures::channel::oneshot;

thread_local! {
    /// Resolves the guest's bootstrap capability. Empty before the connection
    /// opens and after `export`.
    static EXPORT: RefCell<Option<oneshot::Sender<Client>>> = const { RefCell::new(None) };
}

/// Makes `client` the guest's own bootstrap capability, the one that its host
/// and its parent get.
///
/// Calls on it that came before wait until now. If `main` ends first they
/// fail, with kind `Disconnected`. The first call counts; later ones, and any
/// in a guest without a connection, do nothing.
pub fn export<C: FromClientHook>(client: C) {
    if let Some(export) = EXPORT.take() {
        // The receiver is gone when the connection has closed.
        let _ = export.send(Client::new(client.into_client_hook()));
    }
}

/// The promise that `export` resolves.
pub(crate) fn promise() -> Client {
    let (sender, receiver) = oneshot::channel();
    EXPORT.set(Some(sender));
    capnp_rpc::new_future_client(async {
        receiver
            .await
            .map_err(|_| capnp::Error::disconnected("the guest ended without an export".into()))
    })
}

/// Breaks the promise, unless it was resolved.
pub(crate) fn abandon() {
    EXPORT.take();
}
