use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::endpoint::Endpoint;
use super::{Source, SourceError, answer};
use crate::http::{Http, Request};
use crate::ipld::Cid;

/// The RPC of a Kubo node: raw blocks, one at a time.
///
/// See <https://docs.ipfs.tech/reference/kubo/rpc/#api-v0-block-get>. A node
/// that has not got a block looks for it at its peers.
#[derive(Clone)]
pub struct Kubo {
    at: Endpoint,
}

impl Kubo {
    /// The node at `url`, which is what comes before `/api/`, asked by `http`. Errors
    /// tell no more of it than scheme, host and port.
    pub fn new(url: impl Into<String>, http: impl Http + 'static) -> Self {
        let at = Endpoint::new(url.into(), http);
        Self { at }
    }
}

#[async_trait]
impl Source for Kubo {
    fn name(&self) -> &str {
        &self.at.name
    }

    async fn block(
        &self,
        cid: &Cid,
        limit: usize,
        timeout: Duration,
    ) -> Result<Bytes, SourceError> {
        let url = format!("{}/api/v0/block/get?arg={cid}", self.at.url);
        let request = Request::post(url, Bytes::new()).timeout(timeout);
        let response = self.at.send(request).await?;
        answer::whole(&self.at, response, limit).await
    }
}

impl fmt::Debug for Kubo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kubo({:?})", self.at.name)
    }
}
