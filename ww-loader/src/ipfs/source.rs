use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::SourceError;
use super::ipns::Name;
use crate::Path;
use crate::http::Body;
use crate::ipld::Cid;

/// Something that may have blocks, and is not trusted.
///
/// - Answers are checked by who asks, so a source need not.
/// - A source keeps to the limit in bytes that it is given. Deadlines are kept
///   by who asks, who drops the call; `timeout` says after how long.
/// - Calls may run at once, on any executor, and may be dropped at any time.
#[async_trait]
pub trait Source: Send + Sync {
    /// What the source is called in errors, which also guests are told: no place for a
    /// password.
    fn name(&self) -> &str;

    /// The bytes of one block. They are kept as they are, so what else is in
    /// their allocation stays in memory, uncounted.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    async fn block(&self, cid: &Cid, limit: usize, timeout: Duration)
    -> Result<Bytes, SourceError>;

    /// Many blocks at once, as a CAR. It is given up where nothing of it comes for
    /// the time `silence`, and after `timeout`.
    ///
    /// # Errors
    ///
    /// [`SourceError`], [`SourceError::Unsupported`] if this is not said.
    async fn car(
        &self,
        _: &Query,
        _silence: Duration,
        _timeout: Duration,
    ) -> Result<Body, SourceError> {
        Err(SourceError::Unsupported { what: "a CAR" })
    }

    /// The signed record of a name.
    ///
    /// # Errors
    ///
    /// [`SourceError`], [`SourceError::Unsupported`] if this is not said.
    async fn record(&self, _: &Name, _timeout: Duration) -> Result<Bytes, SourceError> {
        let what = "IPNS records";
        Err(SourceError::Unsupported { what })
    }
}

/// Which blocks are wanted: those on the way from a root down a path, and those
/// of what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The root.
    pub cid: Cid,
    /// The path.
    pub path: Path,
    /// How much of what stands there.
    pub scope: Scope,
}

/// How much is wanted of what stands at a path. The names are those of
/// <https://specs.ipfs.tech/http-gateways/trustless-gateway/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Its first block.
    Block,
    /// A whole file, or all that a directory lists.
    Entity,
    /// Everything below it.
    All,
}

macro_rules! forward {
    ($($of:ty),*) => {$(
        #[async_trait]
        impl<S: Source + ?Sized> Source for $of {
            fn name(&self) -> &str {
                (**self).name()
            }

            async fn block(
                &self,
                cid: &Cid,
                limit: usize,
                timeout: Duration,
            ) -> Result<Bytes, SourceError> {
                (**self).block(cid, limit, timeout).await
            }

            async fn car(
                &self,
                query: &Query,
                silence: Duration,
                timeout: Duration,
            ) -> Result<Body, SourceError> {
                (**self).car(query, silence, timeout).await
            }

            async fn record(&self, name: &Name, timeout: Duration) -> Result<Bytes, SourceError> {
                (**self).record(name, timeout).await
            }
        }
    )*};
}

forward!(Arc<S>, Box<S>);
