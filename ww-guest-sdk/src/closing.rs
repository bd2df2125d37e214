use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use capnp::Error;
use capnp::capability::FromClientHook;
use futures::future::{Either, FusedFuture, select};

use crate::export;

thread_local! {
    static CONNECTION: RefCell<Connection> = const { RefCell::new(Connection::new()) };
}

/// The guest's connection, as those see it who wait for its end.
struct Connection {
    /// How it ended; none while it is open.
    outcome: Option<Result<(), Error>>,
    last: u64,
    /// By who came first. Empty while there is no connection.
    waiting: BTreeMap<u64, Waker>,
}

/// Resolves when there is no connection.
struct Closed {
    key: u64,
    /// It has resolved.
    done: bool,
}

/// Waits for the end of the guest's connection: its host shuts the cell down,
/// or has gone. Calls in flight fail at the same time, with kind
/// `Disconnected`. In a guest without a connection it resolves at once.
///
/// A guest that is shut down may still write to its standard streams and end
/// by itself; one that does not is for its host to kill.
///
/// # Errors
///
/// What broke the connection, where it did not just end: one side broke the
/// protocol, or asked more of the other than that bears, which is of kind
/// `Overloaded`.
///
/// # Cancel safety
///
/// May be dropped at any time.
pub fn closed() -> impl FusedFuture<Output = Result<(), Error>> + Unpin + 'static {
    Closed::new()
}

/// Exports `client` and does `work` meanwhile, until that is done, which gives
/// what it returns, or the host has shut the cell down, which gives nothing. Work
/// that fails because of that, its calls being cut short, gives nothing either.
///
/// ```
/// use ww_guest_sdk::{Error, capnp::capability::Client, serve};
///
/// # async fn example(client: Client) -> Result<(), Error> {
/// // Nothing to do but to answer calls, for as long as there may be any.
/// serve(client, std::future::pending::<()>()).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`closed`]: the connection broke.
///
/// # Cancel safety
///
/// When it is dropped, the work ends and what was exported stays exported.
pub async fn serve<C: FromClientHook, T>(
    client: C,
    work: impl Future<Output = T>,
) -> Result<Option<T>, Error> {
    export(client);
    // The end is looked at first: it may be why the work is done.
    match select(closed(), pin!(work)).await {
        Either::Left((ended, _)) => ended.map(|()| None),
        Either::Right((output, _)) => Ok(Some(output)),
    }
}

/// A connection is there.
pub(crate) fn opened() {
    CONNECTION.with_borrow_mut(|connection| connection.outcome = None);
}

/// The connection is at its end, unless it was already.
pub(crate) fn ended(outcome: Result<(), Error>) {
    let waiting = CONNECTION.with_borrow_mut(|connection| {
        connection.outcome.get_or_insert(outcome);
        mem::take(&mut connection.waiting)
    });
    waiting.into_values().for_each(Waker::wake);
}

impl Connection {
    const fn new() -> Self {
        Self {
            outcome: Some(Ok(())),
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
                done: false,
            }
        })
    }
}

impl Future for Closed {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        // Dropped outside of the borrow, the waker before: it runs code that is not ours.
        let polled = CONNECTION.with_borrow_mut(|connection| match &connection.outcome {
            Some(outcome) => Ok(outcome.clone()),
            None => Err(connection.waiting.insert(self.key, waker)),
        });
        match polled {
            Ok(outcome) => {
                self.done = true;
                Poll::Ready(outcome)
            }
            Err(_) => Poll::Pending,
        }
    }
}

impl FusedFuture for Closed {
    fn is_terminated(&self) -> bool {
        self.done
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
