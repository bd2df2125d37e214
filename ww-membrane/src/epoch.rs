use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use slab::Slab;

use crate::signal::Signal;
use crate::{Error, Follow, Guard, Next, Settled};

/// One generation of a deployment. Authority granted under an epoch ends with
/// it.
///
/// The fields are those of `Epoch` in `stem.capnp`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Position in the sequence of epochs. Only ever grows; gaps are allowed.
    pub seq: u64,
    /// Content id of the deployment's base layer, as binary CID. Empty where
    /// epochs follow no content.
    pub head: Vec<u8>,
    /// Number of the block in which this head was adopted on chain. Zero where
    /// epochs come from somewhere else.
    pub adopted_block: u64,
}

/// The epochs of a deployment: which one is current, and who waits for the
/// next. Clones share one sequence.
///
/// `Epochs` may be used from any thread and watched from any executor.
#[derive(Clone, Debug)]
pub struct Epochs {
    shared: Arc<Shared>,
}

/// A session's entry in the roll of its epochs; dropping it says that the
/// session has ended.
#[derive(Debug)]
pub(crate) struct Enrolment {
    epochs: Epochs,
    entry: usize,
}

#[derive(Debug)]
struct Shared {
    /// Sequence number of the current epoch, readable without the lock.
    seq: AtomicU64,
    state: Mutex<State>,
    advanced: Arc<Signal>,
    left: Arc<Signal>,
}

#[derive(Debug)]
struct State {
    current: Epoch,
    roll: Slab<Entry>,
    /// How many entries of the roll each epoch has; never zero.
    counts: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    /// Wakes the calls in flight of this session.
    session: Arc<Signal>,
    /// Wakes the [`Reaper`](crate::Reaper)s of the session's thread.
    thread: Arc<Signal>,
}

impl Epochs {
    /// A sequence that starts with `initial`.
    pub fn new(initial: Epoch) -> Self {
        Self {
            shared: Arc::new(Shared {
                seq: AtomicU64::new(initial.seq),
                state: Mutex::new(State {
                    current: initial,
                    roll: Slab::new(),
                    counts: BTreeMap::new(),
                }),
                advanced: Arc::default(),
                left: Arc::default(),
            }),
        }
    }

    /// Makes `epoch` the current one, and ends every session of an older one.
    ///
    /// Once this has returned, no thread admits a call of an older session.
    /// Calls in flight and references end in the next turn of each thread that
    /// holds some; [`settled`](Self::settled) tells when all have.
    ///
    /// # Errors
    ///
    /// [`Error::Advance`] if the sequence number of `epoch` is not greater
    /// than the current one. Nothing has changed then.
    pub fn advance(&self, epoch: Epoch) -> Result<(), Error> {
        let mut sessions = Vec::new();
        let mut threads: Vec<Arc<Signal>> = Vec::new();
        {
            let mut state = self.lock();
            if epoch.seq <= state.current.seq {
                return Err(Error::Advance {
                    current: state.current.seq,
                    offered: epoch.seq,
                });
            }
            for (_, entry) in state.roll.iter().filter(|(_, entry)| entry.seq < epoch.seq) {
                sessions.push(entry.session.clone());
                if !threads
                    .iter()
                    .any(|known| Arc::ptr_eq(known, &entry.thread))
                {
                    threads.push(entry.thread.clone());
                }
            }
            self.shared.seq.store(epoch.seq, Ordering::Release);
            state.current = epoch;
        }
        self.shared.advanced.fire();
        for signal in threads.iter().chain(&sessions) {
            signal.fire();
        }
        Ok(())
    }

    /// The current epoch.
    pub fn current(&self) -> Epoch {
        self.lock().current.clone()
    }

    /// Sequence number of the current epoch: one atomic load.
    pub fn seq(&self) -> u64 {
        self.shared.seq.load(Ordering::Acquire)
    }

    /// Advances to each epoch of `stream`, for as long as this is polled, and
    /// answers when the stream has ended.
    ///
    /// Any executor may poll it, on any thread on which the stream may live.
    /// The current epoch is passed over, so that a source may start again by
    /// telling it. While nothing comes, and once this has ended, the epoch that
    /// was adopted last stays current.
    ///
    /// ```
    /// use futures::stream;
    /// use ww_membrane::{Epoch, Epochs};
    ///
    /// # fn main() -> Result<(), ww_membrane::Error> {
    /// # futures_lite::future::block_on(async {
    /// let epochs = Epochs::new(Epoch::default());
    /// let heads = stream::iter([(4, b"one".to_vec()), (9, b"two".to_vec())]);
    /// let heads = futures::StreamExt::map(heads, |(seq, head)| Epoch {
    ///     seq,
    ///     head,
    ///     ..Epoch::default()
    /// });
    /// epochs.follow(heads).await?;
    /// assert_eq!(epochs.current().head, b"two");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Advance`] where the stream yields an epoch that does not
    /// follow; nothing further is taken from it then. To go on, follow again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream. What it had yielded is adopted.
    pub fn follow<S: Stream<Item = Epoch> + Unpin>(&self, stream: S) -> Follow<S> {
        Follow::new(self.clone(), stream)
    }

    /// Waits for an epoch whose sequence number is greater than `after`, and
    /// answers with the one that is current then. Epochs may be skipped by
    /// those who look seldom.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; ask again with the same `after`.
    pub fn next(&self, after: u64) -> Next {
        Next::new(self.clone(), after)
    }

    /// Waits until every session of an epoch before `seq` has ended, on every
    /// thread: its calls failed, its references released.
    ///
    /// A session ends when its thread's [`Reaper`](crate::Reaper) is polled,
    /// when one of its calls is, or when it is touched or dropped. A thread
    /// that holds sessions and does none of it keeps this waiting.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn settled(&self, seq: u64) -> Settled {
        Settled::new(self.clone(), seq)
    }

    /// A guard of the current epoch.
    pub fn guard(&self) -> Guard {
        Guard::new(self.clone(), self.seq())
    }

    pub(crate) fn guard_of(&self, seq: u64) -> Guard {
        Guard::new(self.clone(), seq)
    }

    pub(crate) fn enrol(&self, seq: u64, session: Arc<Signal>, thread: Arc<Signal>) -> Enrolment {
        let mut state = self.lock();
        *state.counts.entry(seq).or_default() += 1;
        let entry = state.roll.insert(Entry {
            seq,
            session,
            thread,
        });
        drop(state);
        Enrolment {
            epochs: self.clone(),
            entry,
        }
    }

    pub(crate) fn is_settled(&self, seq: u64) -> bool {
        let state = self.lock();
        state
            .counts
            .first_key_value()
            .is_none_or(|(oldest, _)| *oldest >= seq)
    }

    pub(crate) fn advanced(&self) -> &Arc<Signal> {
        &self.shared.advanced
    }

    pub(crate) fn left(&self) -> &Arc<Signal> {
        &self.shared.left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Enrolment {
    fn drop(&mut self) {
        let mut state = self.epochs.lock();
        let entry = state.roll.remove(self.entry);
        let emptied = match state.counts.get_mut(&entry.seq) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            _ => {
                state.counts.remove(&entry.seq);
                true
            }
        };
        drop(state);
        if emptied {
            self.epochs.left().fire();
        }
    }
}
