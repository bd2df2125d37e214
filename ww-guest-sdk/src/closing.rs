use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

use capnp::capability::FromClientHook;
use futures::future::{Either, select};

use crate::export;

thread_local! {
    static CONNECTION: RefCell<State> = const { RefCell::new(State::Closed) };
}

/// The guest's connection, as those see it who wait for its end.
enum State {
    Open(Vec<Waker>),
    Closed,
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
    poll_fn(|cx| {
        CONNECTION.with_borrow_mut(|state| match state {
            State::Closed => Poll::Ready(()),
            State::Open(waiting) => {
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        })
    })
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
    CONNECTION.set(State::Open(Vec::new()));
}

/// The connection is at its end.
pub(crate) fn ended() {
    if let State::Open(waiting) = CONNECTION.replace(State::Closed) {
        waiting.into_iter().for_each(Waker::wake);
    }
}
