use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use capnp::capability::FromClientHook;
use futures::future::{Either, select};

use crate::export;

thread_local! {
    static CONNECTION: RefCell<Connection> = const { RefCell::new(Connection::new()) };
}

/// The guest's connection, as those see it who wait for its end.
struct Connection {
    open: bool,
    last: u64,
    /// By who came first. Empty while there is no connection.
    waiting: BTreeMap<u64, Waker>,
}

/// Resolves when there is no connection.
struct Closed {
    key: u64,
}

/// Waits for the end of the guest's connection: its host shuts the cell down,
/// or has gone. Calls in flight fail at the same time, with kind
/// `Disconnected`. In a guest without a connection it resolves at once.
///
/// A guest that is shut down may still write to its standard streams and end
/// by itself; one that does not is for its host to kill.
///
/// # Cancel safety
///
/// May be dropped at any time.
pub fn closed() -> impl Future<Output = ()> + 'static {
    Closed::new()
}

/// Exports `client` and does `work` meanwhile, until that is done, which gives
/// what it returns, or the connection has closed, which gives nothing.
///
/// ```
/// use ww_guest_sdk::{capnp::capability::Client, serve};
///
/// # async fn example(client: Client) {
/// // Nothing to do but to answer calls, for as long as there may be any.
/// serve(client, std::future::pending::<()>()).await;
/// # }
/// ```
///
/// # Cancel safety
///
/// When it is dropped, the work ends and what was exported stays exported.
pub async fn serve<C: FromClientHook, T>(client: C, work: impl Future<Output = T>) -> Option<T> {
    export(client);
    match select(pin!(work), pin!(closed())).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// A connection is there.
pub(crate) fn opened() {
    CONNECTION.with_borrow_mut(|connection| connection.open = true);
}

/// The connection is at its end.
pub(crate) fn ended() {
    let waiting = CONNECTION.with_borrow_mut(|connection| {
        connection.open = false;
        mem::take(&mut connection.waiting)
    });
    waiting.into_values().for_each(Waker::wake);
}

impl Connection {
    const fn new() -> Self {
        Self {
            open: false,
            last: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl Closed {
    fn new() -> Self {
        CONNECTION.with_borrow_mut(|connection| {
            connection.last += 1;
            Self {
                key: connection.last,
            }
        })
    }
}

impl Future for Closed {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let replaced = CONNECTION.with_borrow_mut(|connection| {
            let waiting = &mut connection.waiting;
            connection.open.then(|| waiting.insert(self.key, waker))
        });
        // Dropped outside of the borrow, the waker before: it runs code that is not ours.
        match replaced {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        // The list may be gone already at the end of the thread.
        let _ = CONNECTION.try_with(|connection| {
            let mut connection = connection.borrow_mut();
            connection.waiting.remove(&self.key)
        });
    }
}
