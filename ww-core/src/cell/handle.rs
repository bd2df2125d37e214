use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use capnp::capability::FromClientHook;
use futures::channel::oneshot;
use futures::future::{Either, select};
use ww_image::Cid;

use super::exit::Exit;
use super::local::Local;
use super::meter::Usage;
use super::remote::Remote;
use super::shared::Shared;
use crate::error::Error;
use crate::pipe;

/// A running cell, held from any thread.
///
/// Dropping the handle kills the cell; [`detach`](Self::detach) lets it run
/// on.
#[must_use = "dropping the handle kills the cell"]
pub struct Cell {
    pub(crate) shared: Arc<Shared>,
    pub(crate) streams: Mutex<Streams>,
    pub(crate) detached: bool,
    pub(crate) image: Option<Cid>,
}

/// The holder's ends of the streams that were set to be piped.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<pipe::Writer>,
    pub(crate) stdout: Option<pipe::Reader>,
    pub(crate) stderr: Option<pipe::Reader>,
}

impl Cell {
    /// Waits for the cell to exit. May be called as often as wished, also
    /// after the exit: the answer is always the same.
    ///
    /// # Errors
    ///
    /// The cell did not exit by itself: [`Error::Trap`], [`Error::Limit`],
    /// [`Error::Killed`], [`Error::Dropped`], or why it could not start.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn wait(&self) -> impl Future<Output = Result<Exit, Error>> + Send + use<> {
        self.shared.outcome.wait()
    }

    /// Ends the cell: at the next turn of its thread where it waits, within two
    /// interruptions of its guest where it computes. One instruction is not
    /// interrupted, even if it fills all of a memory, and neither is what the host
    /// does in one call of the guest's: the end comes after. Harmless where the cell
    /// has ended.
    pub fn kill(&self) {
        self.shared.kill();
    }

    /// Asks the cell to end by itself: closes its RPC connection, which a guest
    /// that waits for `closed()` of its SDK learns. What the guest has written
    /// until now is handled, calls to it fail with kind `Disconnected`.
    ///
    /// A guest may take its time, or never end: [`wait`](Self::wait) for as long
    /// as suits, and [`kill`](Self::kill) then. Harmless where the cell has ended
    /// or speaks no RPC.
    pub fn shut_down(&self) {
        let sent = self
            .shared
            .send(Box::new(|local| Box::pin(async move { local.drain() })));
        // One that has ended takes no errands.
        drop(sent);
    }

    /// Lets the cell run on without a handle, until it exits by itself.
    pub fn detach(mut self) {
        self.detached = true;
    }

    /// What tells the cell from every other one of this process.
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// The CID of the image that the cell runs, its component and all that it
    /// sees at `/`. `None` where the image is neither pinned nor sealed, so that
    /// nobody can tell, and where the program did not come from an image; see
    /// [`Image::pin`](ww_image::Image::pin).
    pub fn image(&self) -> Option<&Cid> {
        self.image.as_ref()
    }

    /// What the cell has used until now, or until its end.
    pub fn usage(&self) -> Usage {
        self.shared.usage()
    }

    /// The write end of the cell's standard input, where that is piped and
    /// was not taken before. Dropping it is the end of the cell's input.
    pub fn take_stdin(&self) -> Option<pipe::Writer> {
        self.streams().stdin.take()
    }

    /// The read end of the cell's standard output, where that is piped and
    /// was not taken before.
    pub fn take_stdout(&self) -> Option<pipe::Reader> {
        let taken = self.streams().stdout.take();
        taken.inspect(|reader| reader.set_lossy(false))
    }

    /// The read end of the cell's standard error, where that is piped and was
    /// not taken before.
    pub fn take_stderr(&self) -> Option<pipe::Reader> {
        let taken = self.streams().stderr.take();
        taken.inspect(|reader| reader.set_lossy(false))
    }

    /// Runs `task` on the cell's thread, where its capabilities can be used,
    /// and answers what it returns.
    ///
    /// # Errors
    ///
    /// What `task` returns, or [`Error::Ended`] when the cell ended first, with what
    /// ended it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the task, on the cell's thread.
    pub fn with<T, F, Fut>(
        &self,
        task: F,
    ) -> impl Future<Output = Result<T, Error>> + Send + use<T, F, Fut>
    where
        T: Send + 'static,
        F: FnOnce(Local) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, Error>> + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let sent = self
            .shared
            .send(Box::new(|local| Box::pin(answer(sender, || task(local)))));
        // An errand that was not taken is dropped, and with it its sender.
        drop(sent);
        self.shared.outcome.or_ended(receiver)
    }

    /// What the guest exports, for use from any thread: see [`Remote`]. Calls
    /// wait and fail as with [`Local::exported`].
    pub fn exported<C: FromClientHook + Clone + 'static>(&self) -> Remote<C> {
        Remote::exported(self)
    }

    fn streams(&self) -> std::sync::MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does `task` for somebody on another thread, for as long as they wait.
pub(super) async fn answer<T, Fut>(
    mut sender: oneshot::Sender<Result<T, Error>>,
    task: impl FnOnce() -> Fut,
) where
    Fut: Future<Output = Result<T, Error>>,
{
    if sender.is_canceled() {
        return;
    }
    let task = pin!(task());
    let outcome = match select(task, sender.cancellation()).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => return,
    };
    // Whoever asked has gone in this very moment.
    let _ = sender.send(outcome);
}

impl Drop for Cell {
    fn drop(&mut self) {
        if !self.detached {
            self.shared.kill();
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell")
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}
