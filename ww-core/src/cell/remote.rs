use std::fmt;
use std::future::Future;

use capnp::capability::FromClientHook;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot;
use futures::future::{Either, LocalBoxFuture, select};
use futures::{FutureExt, StreamExt};
use ww_membrane::Membrane;
use ww_rpc::{Side, Vat};

use super::connection::Gone;
use super::handle::{Cell, answer};
use super::limits::Limits;
use super::local::Local;
use super::outcome::{Outcome, why};
use super::plain::{TOLD, plain};
use crate::error::Error;
use crate::pipe;

/// What somebody on another thread wants of a capability.
type Job<C> = Box<dyn FnOnce(&Local, C) -> LocalBoxFuture<'static, ()> + Send>;

/// A capability on its cell's thread, held from any thread.
///
/// ```
/// use futures_lite::future::block_on;
/// use ww_core::cell::{Builder, Input};
/// use ww_rpc::peer_capnp::executor;
///
/// # fn main() -> Result<(), ww_core::Error> {
/// # let image = example_images::path("exporter");
/// # block_on(async {
/// let cell = Builder::new().image(image).stdin(Input::piped()).spawn().await?;
/// let echo = cell.exported::<executor::Client>();
/// let said = echo.call(async |echo| {
///     let mut request = echo.echo_request();
///     request.get().set_message("hello");
///     let response = request.send().promise.await?;
///     Ok(response.get()?.get_response()?.to_string().map_err(capnp::Error::from)?)
/// });
/// // From here on it is a future like any other: `Send`, for any executor.
/// assert_eq!(said.await?, "Echo: hello");
/// # Ok(())
/// # })
/// # }
/// ```
///
/// The capability is released, on its own thread, with the last clone of this,
/// what was [derived](Self::derive) and [bridged](Self::bridge) from it aside.
/// It does not keep its cell alive.
pub struct Remote<C> {
    jobs: UnboundedSender<Job<C>>,
    /// Of the cell whose thread it is.
    outcome: Outcome,
}

impl<C: FromClientHook + Clone + 'static> Remote<C> {
    /// `client`, which lives on the thread of `local`'s cell.
    pub fn new(local: &Local, client: C) -> Self {
        let (remote, jobs) = Self::pair(&local.shared().outcome);
        local.spawn(serve(local.clone(), client, jobs));
        remote
    }

    /// What the guest of `cell` exports.
    pub(super) fn exported(cell: &Cell) -> Self {
        let (remote, jobs) = Self::pair(&cell.shared.outcome);
        let sent = cell.shared.send(Box::new(|local| {
            let exported = local.exported();
            serve(local, exported, jobs).boxed_local()
        }));
        // Where the cell has ended, so have the jobs.
        drop(sent);
        remote
    }

    /// Has the capability's thread make a call, or several, and answers what
    /// comes of it. Calls of several callers are under way at a time, and begin
    /// in the order in which they were asked for here.
    ///
    /// # Errors
    ///
    /// What `call` returns, or [`Error::Ended`] when the cell ended first, with what
    /// ended it. A call that the cell's end has broken says so too, of its kind.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops what `call` returned, on its own thread, and
    /// with it calls that are under way.
    pub fn call<T, F, Fut>(
        &self,
        call: F,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<C, T, F, Fut>
    where
        T: Send + 'static,
        F: FnOnce(C) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, Error>> + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.ask(move |_, client| answer(sender, move || call(client)).boxed_local());
        self.outcome.or_ended(receiver)
    }

    /// Another capability of the same thread, that `derive` makes of this one: by
    /// a call whose answer is pipelined on, say.
    pub fn derive<D, F>(&self, derive: F) -> Remote<D>
    where
        D: FromClientHook + Clone + 'static,
        F: FnOnce(C) -> D + Send + 'static,
    {
        let (remote, jobs) = Remote::pair(&self.outcome);
        self.ask(move |local, client| serve(local.clone(), derive(client), jobs).boxed_local());
        remote
    }

    /// The same capability, for the thread of `local`'s cell: a bridge of two
    /// vats, over a pair of pipes. Calls on it, and all that is reached through
    /// it, cross between the threads as messages.
    ///
    /// The bridge stands as long as something is held across it and neither cell
    /// has ended; then calls fail as those do that are made by [`call`](Self::call), with
    /// what ended the cell. Each side may ask of the other
    /// what [`Limits::rpc`](super::Limits::rpc) of the other's cell allows, and beyond
    /// that the bridge ends. Its pipes hold the [`rpc_buffer`](super::Limits::rpc_buffer)
    /// of the cell of `local`.
    pub fn bridge(&self, local: &Local) -> C {
        let Limits {
            rpc, rpc_buffer, ..
        } = *local.limits();
        let (to_far, at_far) = pipe::pipe(rpc_buffer);
        let (to_near, at_near) = pipe::pipe(rpc_buffer);
        let (ends, over) = oneshot::channel();
        self.ask(move |local, client| {
            let bootstrap = Some(client.cast_to());
            let limits = local.limits().rpc;
            let mut vat = Vat::new(at_far, to_near, Side::Server, bootstrap, limits);
            let serve = async move {
                // Dropped with the cell, this goes before the pipes.
                let ends = ends;
                told("serves", (&mut vat).await);
                // The other side has gone.
                let _ = ends.send(());
            };
            serve.boxed_local()
        });
        let mut vat = Vat::new(at_near, to_far, Side::Client, None, rpc);
        // Tells when nothing is held any more.
        let membrane = Membrane::ungated();
        let client = membrane.wrap_reverse(vat.bootstrap());
        let (empty, emptied) = oneshot::channel();
        membrane.when_empty(move || {
            // The bridge has ended already.
            let _ = empty.send(());
        });
        let outcome = self.outcome.wait();
        local.spawn(async move {
            let why = async { Gone::Ended(why(&outcome.await)).error() };
            match select(over, select(vat, emptied)).await {
                // The cell over there has ended, and the vat has not heard of that.
                Either::Left((Err(_), _vat)) => membrane.revoke(why.await),
                Either::Left((Ok(()), near)) => {
                    if let Either::Left((ended, _)) = near.await {
                        told("calls", ended);
                    }
                }
                Either::Right((Either::Left((ended, _)), over)) => {
                    told("calls", ended);
                    if over.await.is_err() {
                        membrane.revoke(why.await);
                    }
                }
                Either::Right((Either::Right(_), _)) => {}
            }
            drop(membrane);
        });
        client
    }

    fn pair(outcome: &Outcome) -> (Self, UnboundedReceiver<Job<C>>) {
        let (jobs, received) = unbounded();
        let outcome = outcome.clone();
        (Self { jobs, outcome }, received)
    }

    /// Where the cell has ended, the job is dropped, and whoever waits for it is
    /// told.
    fn ask(&self, job: impl FnOnce(&Local, C) -> LocalBoxFuture<'static, ()> + Send + 'static) {
        let _ = self.jobs.unbounded_send(Box::new(job));
    }
}

/// Tells of a bridge that an error has ended, as seen from one of its sides.
fn told(side: &str, ended: Result<(), capnp::Error>) {
    if let Err(error) = ended {
        let error = plain(&error.to_string(), TOLD);
        tracing::debug!(side, %error, "bridge ended");
    }
}

/// Does what is asked of `client` for as long as anybody may ask.
async fn serve<C: Clone>(local: Local, client: C, mut jobs: UnboundedReceiver<Job<C>>) {
    while let Some(job) = jobs.next().await {
        local.spawn(job(&local, client.clone()));
    }
}

impl<C> Clone for Remote<C> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            outcome: self.outcome.clone(),
        }
    }
}

impl<C> fmt::Debug for Remote<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("ended", &self.jobs.is_closed())
            .finish_non_exhaustive()
    }
}
