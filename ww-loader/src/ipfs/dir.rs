//! What a directory lists.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::node::{Shard, Unixfs};
use super::pace::Pace;
use super::shards::Shards;
use super::{Blocks, Error};
use crate::ipld::dag_pb::Link;
use crate::ipld::{Cid, Codec};
use crate::path::utf8;
use crate::{Entry, Kind, Path, PathError};

/// A directory, and how it is called in errors.
#[derive(Clone)]
pub(super) struct Listing {
    pub(super) blocks: Blocks,
    pub(super) path: Path,
    pub(super) loader: Arc<str>,
}

type Entries = BoxStream<'static, Result<Entry, crate::Error>>;
type Named = Result<(Bytes, Cid), Error>;

impl Listing {
    /// The entries of a plain directory.
    pub(super) fn plain(self, links: Vec<Link>) -> Entries {
        let links = links.into_iter();
        let named = links.map(|link| Ok((link.name.unwrap_or_default(), link.cid)));
        self.entries(stream::iter(named).boxed())
    }

    /// The entries of a sharded directory.
    pub(super) fn sharded(self, root: Shard) -> Entries {
        let batches = stream::try_unfold(Shards::new(&self.blocks, root), |mut walk| async {
            let batch = walk.batch().await?;
            Ok::<_, Error>(batch.map(|batch| (stream::iter(batch.into_iter().map(Ok)), walk)))
        });
        self.entries(batches.try_flatten().boxed())
    }

    /// Looks up what the names are names of, a few at once.
    fn entries(self, named: BoxStream<'static, Named>) -> Entries {
        let limits = self.blocks.0.limits;
        let pace = Arc::new(Pace::default());
        let mut seen = HashSet::new();
        let checked = named.map(move |named| {
            let (name, cid) = named?;
            if seen.len() == limits.names {
                let reason = format!("it is in a directory of more than {} names", limits.names);
                return Err(Error::Shape { cid, reason });
            }
            // A copy: a name would hold the whole block that it lies in.
            match seen.insert(Box::<[u8]>::from(&*name)) {
                true => Ok((name, cid)),
                false => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    let reason = format!("it is called {name:?}, as another entry is");
                    Err(Error::Shape { cid, reason })
                }
            }
        });
        // A directory that is wrong as a whole ends at the error.
        let checked = checked.scan(false, |failed, named| {
            let over = *failed;
            *failed = named.is_err();
            std::future::ready((!over).then_some(named))
        });
        checked
            .map(move |named| self.clone().entry(named))
            .buffered(limits.concurrency.max(1))
            // Behind what is looked up at once, where giving way stops it all.
            .then(move |(entry, work)| {
                let pace = pace.clone();
                async move {
                    pace.did(work).await;
                    entry
                }
            })
            .boxed()
    }

    /// The entry, and how many bytes were gone through for it.
    async fn entry(self, named: Named) -> (Result<Entry, crate::Error>, usize) {
        let mut work = 0;
        let entry = self.look_up(named, &mut work).await;
        (entry, work)
    }

    async fn look_up(&self, named: Named, work: &mut usize) -> Result<Entry, crate::Error> {
        let fault = |error: Error| error.at(&self.path, &self.loader);
        let (name, cid) = named.map_err(fault)?;
        let name = component(&name).map_err(|source| crate::Error::Name {
            path: self.path.clone(),
            loader: self.loader.to_string(),
            source,
        })?;
        let kind = self.kind(&cid, work).await.map_err(fault)?;
        let name = name.to_owned();
        Ok(Entry { name, kind })
    }

    async fn kind(&self, cid: &Cid, work: &mut usize) -> Result<Kind, Error> {
        if cid.codec() == Some(Codec::Raw) {
            return Ok(Kind::File);
        }
        let block = self.blocks.fetch(cid, None).await?;
        *work = block.len();
        Unixfs::kind(cid, &block)
    }
}

/// The name, which must be one component of a path.
fn component(name: &[u8]) -> Result<&str, PathError> {
    let text = utf8(name)?;
    let path = Path::new(text)?;
    match path.as_str() == text && path.components().count() == 1 {
        true => Ok(text),
        false => Err(PathError::NotAName {
            path: text.chars().take(Path::MAX_COMPONENT).collect(),
        }),
    }
}
