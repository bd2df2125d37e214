use std::fmt;
use std::pin::Pin;

use futures::{Stream, StreamExt};
use ww_loader::stem::{Head, StemError};
use ww_membrane::{Epoch, Epochs};

use crate::cell::{Builder, Cell, Ready};
use crate::error::Error;

/// A cell that follows the heads of a tree: each head is an epoch, and the cell
/// runs on the newest.
///
/// For a new head, the next cell is made ready first: its image is loaded and,
/// where it is pinned, verified, and its component compiled. Then the epoch
/// advances, which revokes every session of the ones before; the old cell is
/// killed, and when it has ended the new one starts. Where it cannot be made ready,
/// nothing changes: the old cell and its epoch stay.
///
/// Nothing happens while [`next`](Self::next) is not polled. Dropping the
/// rollout kills the cell.
///
/// ```
/// # use futures_lite::future::block_on;
/// use futures_lite::stream;
/// use ww_core::Rollout;
/// use ww_core::cell::Builder;
/// use ww_image::Image;
/// use ww_loader::stem::Head;
/// use ww_membrane::{Epoch, Epochs};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # block_on(async {
/// let image = Image::from(example_images::path("hello"));
/// let cid = image.cid().await?;
/// // From a `Stem`, in real life.
/// let head = Head { seq: 1, cid: cid.clone(), block: 7 };
/// let heads = stream::once(Ok(head));
///
/// let epochs = Epochs::new(Epoch::default());
/// let base = move |head: &Head| Builder::new().image(image.pin(head.cid.clone()));
/// let mut rollout = Rollout::new(heads, epochs.clone(), base);
/// let head = rollout.next().await.ok_or("there is a head")??;
/// assert_eq!((head.seq, epochs.current().adopted_block), (1, 7));
/// let cell = rollout.cell().ok_or("it runs")?;
/// assert_eq!(cell.image(), Some(&cid));
/// assert!(cell.wait().await?.success());
/// # Ok(()) })
/// # }
/// ```
#[must_use = "dropping the rollout kills the cell"]
pub struct Rollout {
    heads: Heads,
    epochs: Epochs,
    base: Box<dyn FnMut(&Head) -> Builder + Send>,
    cell: Option<Cell>,
    /// A head whose cell is not ready or did not start, because that failed or was
    /// given up.
    pending: Option<Head>,
    /// Whether the pending one has been made the epoch.
    adopted: bool,
    /// Whether the pending one is to be tried without being asked.
    eager: bool,
    /// A head that is the epoch already, and its cell, which starts when the one
    /// before it has ended.
    turn: Option<(Head, Ready)>,
}

type Heads = Pin<Box<dyn Stream<Item = Result<Head, StemError>> + Send>>;

/// Why a new head did not become what runs.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RolloutError {
    /// No new head is known. The stream goes on.
    #[error("no new head is known")]
    Head(#[source] StemError),
    /// The cell of the head could not be made ready, so what ran runs on.
    /// [`Rollout::retry`] tries again.
    #[error("head {} ({}) cannot run", head.seq, head.cid)]
    Cell {
        /// The head.
        head: Head,
        /// What is wrong with its image, its program, or the room for it.
        source: Error,
    },
    /// The cell of the head was ready and could not be started. The cell before
    /// it has ended, and so has its epoch. [`Rollout::retry`] tries again.
    #[error("head {} ({}) was not started", head.seq, head.cid)]
    Start {
        /// The head.
        head: Head,
        /// What is wrong.
        source: Error,
    },
    /// The epochs are already past the head: somebody else advances them too.
    #[error("head {} is not later than epoch {current}", head.seq)]
    Epoch {
        /// The head.
        head: Head,
        /// The number of the current epoch.
        current: u64,
    },
}

impl Rollout {
    /// Follows `heads`, advances `epochs`, and runs the cells that `base` makes
    /// of each head.
    pub fn new(
        heads: impl Stream<Item = Result<Head, StemError>> + Send + 'static,
        epochs: Epochs,
        base: impl FnMut(&Head) -> Builder + Send + 'static,
    ) -> Self {
        Self {
            heads: Box::pin(heads),
            epochs,
            base: Box::new(base),
            cell: None,
            pending: None,
            adopted: false,
            eager: false,
            turn: None,
        }
    }

    /// The cell that runs, or ran last; none before the first head.
    pub fn cell(&self) -> Option<&Cell> {
        self.cell.as_ref()
    }

    /// Waits for the next head and runs its cell in place of the one before.
    /// `None` when there will be no more heads; the cell runs on then.
    ///
    /// # Errors
    ///
    /// [`RolloutError`]; the rollout goes on after every one.
    ///
    /// # Cancel safety
    ///
    /// A head that was being made ready when this was given up is the next one
    /// again.
    pub async fn next(&mut self) -> Option<Result<Head, RolloutError>> {
        if !self.eager && self.turn.is_none() {
            match self.heads.next().await? {
                Ok(head) => self.pending = Some(head),
                Err(error) => return Some(Err(RolloutError::Head(error))),
            }
            self.adopted = false;
            self.eager = true;
        }
        self.retry().await
    }

    /// Tries the last head again, if its cell could not be made ready or started.
    /// `None` where there is nothing to try.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// As [`next`](Self::next).
    pub async fn retry(&mut self) -> Option<Result<Head, RolloutError>> {
        if self.turn.is_none()
            && let Err(error) = self.adopt().await?
        {
            return Some(Err(error));
        }
        // The old one ends first, so that the two never run at once.
        if let Some(cell) = &self.cell {
            cell.kill();
            let _ = cell.wait().await;
        }
        self.cell = None;
        let (head, ready) = self.turn.take()?;
        match ready.run() {
            Ok(cell) => self.cell = Some(cell),
            Err(source) => {
                self.pending = Some(head.clone());
                self.adopted = true;
                return Some(Err(RolloutError::Start { head, source }));
            }
        }
        Some(Ok(head))
    }

    /// Makes the cell of the pending head ready, and that head the epoch.
    async fn adopt(&mut self) -> Option<Result<(), RolloutError>> {
        let head = self.pending.clone()?;
        let ready = (self.base)(&head).ready().await;
        self.eager = false;
        let ready = match ready {
            Ok(ready) => ready,
            Err(source) => return Some(Err(RolloutError::Cell { head, source })),
        };
        self.pending = None;
        let epoch = Epoch {
            seq: head.seq,
            head: head.cid.as_bytes().to_vec(),
            adopted_block: head.block,
        };
        let is_epoch = self.adopted && self.epochs.current() == epoch;
        if !is_epoch && self.epochs.advance(epoch).is_err() {
            let current = self.epochs.current().seq;
            return Some(Err(RolloutError::Epoch { head, current }));
        }
        self.turn = Some((head, ready));
        Some(Ok(()))
    }
}

impl fmt::Debug for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rollout")
            .field("epochs", &self.epochs)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}
