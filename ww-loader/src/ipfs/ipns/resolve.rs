use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;
use lru::LruCache;

use super::{Name, Record, RecordError};
use crate::Path;
use crate::clock::within;
use crate::ipfs::{Attempt, Blocks, Error, IpfsPath, Source, SourceError};

/// How many names may stand between a name and its content.
const MOST_NAMES: usize = 8;

/// How many names' versions are remembered.
const MOST_SEEN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The highest version that was seen of each name.
pub(in crate::ipfs) struct Seen(Mutex<LruCache<Name, u64>>);

impl Seen {
    pub(in crate::ipfs) fn new() -> Self {
        Self(Mutex::new(LruCache::new(MOST_SEEN)))
    }

    fn sequence(&self, name: &Name) -> Option<u64> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.peek(name).copied()
    }

    /// Knows of a version, unless a later one is known.
    pub(in crate::ipfs) fn know(&self, name: &Name, sequence: u64) {
        // An older one changes nothing.
        let _ = self.admit(name, sequence);
    }

    /// Refuses a version that is older than one that was seen.
    fn admit(&self, name: &Name, sequence: u64) -> Result<(), RecordError> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(name) {
            Some(&seen) if seen > sequence => Err(RecordError::Old { sequence, seen }),
            _ => {
                seen.put(name.clone(), sequence);
                Ok(())
            }
        }
    }
}

impl Blocks {
    /// The immutable path that `text` stands for now: `/ipfs/<cid>/<path>` is
    /// itself, `/ipns/<name>/<path>` is looked up by [`record`](Self::record).
    ///
    /// # Errors
    ///
    /// [`Error::Path`] for any other text, for names of the DNS, and where one
    /// name leads to another eight times; [`Error::Name`] if no source gives a
    /// valid record.
    pub async fn resolve(&self, text: &str) -> Result<IpfsPath, Error> {
        let mut at = text.to_owned();
        let mut below: Vec<Path> = Vec::new();
        for _ in 0..=MOST_NAMES {
            let Some(rest) = at.strip_prefix("/ipns/") else {
                let mut found: IpfsPath = at.parse()?;
                for path in below.iter().rev() {
                    found.path = found.path.join(path).map_err(|error| fault(text, error))?;
                }
                return Ok(found);
            };
            let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
            below.push(Path::new(path).map_err(|error| fault(text, error))?);
            at = self.record(&name.parse()?).await?.value;
        }
        Err(fault(text, "it leads from name to name too often"))
    }

    /// The newest valid record of `name` that any source has.
    ///
    /// All sources are asked, since one alone could keep a new record back; one
    /// that is older than what was seen before is refused.
    /// What an earlier process saw it must be [told](crate::ipfs::Builder::known).
    ///
    /// # Errors
    ///
    /// [`Error::Name`].
    pub async fn record(&self, name: &Name) -> Result<Record, Error> {
        let sources: Vec<_> = self.0.turns.slots().map(|slot| &slot.source).collect();
        let asked = sources
            .iter()
            .map(|source| self.ask_record(&***source, name));
        let asked = join_all(asked).await;
        let mut newest: Option<Record> = None;
        let mut attempts = Vec::new();
        for (source, answer) in sources.into_iter().zip(asked) {
            // A later one may have been seen while others were waited for.
            let admitted = answer.and_then(|record| {
                let admitted = self.0.seen.admit(name, record.sequence);
                let admitted = admitted.map_err(|error| Attempt {
                    source: source.name().to_owned(),
                    error: SourceError::Record(error),
                });
                admitted.map(|()| record)
            });
            match admitted {
                Ok(record) => {
                    let rank = |record: &Record| (record.sequence, record.until);
                    let newer = newest
                        .as_ref()
                        .is_none_or(|newest| rank(newest) < rank(&record));
                    newest = if newer { Some(record) } else { newest };
                }
                Err(attempt) => attempts.push(attempt),
            }
        }
        newest.ok_or_else(|| Error::Name {
            name: name.to_string(),
            attempts,
        })
    }

    /// The highest version of `name` that was seen or is
    /// [known](crate::ipfs::Builder::known), for whoever starts later to know.
    pub fn seen(&self, name: &Name) -> Option<u64> {
        self.0.seen.sequence(name)
    }

    async fn ask_record(&self, source: &dyn Source, name: &Name) -> Result<Record, Attempt> {
        let (clock, after) = (&*self.0.clock, self.0.retry.deadline);
        let answer = within(clock, after, source.record(name, after)).await;
        let answer = answer.unwrap_or(Err(SourceError::Late { after }));
        let record = answer.and_then(|bytes| {
            let record = Record::verify(name, &bytes, clock.wall());
            let record = record.and_then(|record| {
                self.0.seen.admit(name, record.sequence)?;
                Ok(record)
            });
            record.map_err(SourceError::Record)
        });
        record.map_err(|error| Attempt {
            source: source.name().to_owned(),
            error,
        })
    }
}

fn fault(text: &str, reason: impl ToString) -> Error {
    Error::Path {
        text: text.chars().take(Path::MAX_COMPONENT).collect(),
        reason: reason.to_string(),
    }
}
