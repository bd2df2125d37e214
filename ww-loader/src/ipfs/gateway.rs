use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::endpoint::Endpoint;
use super::ipns::{Name, Record};
use super::{Query, Scope, Source, SourceError, answer};
use crate::http::{Body, Http, Request};
use crate::ipld::Cid;

/// What may stand unescaped in a path's component: the unreserved characters
/// of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A trustless gateway: raw blocks, CARs and IPNS records over HTTP.
///
/// See <https://specs.ipfs.tech/http-gateways/trustless-gateway/>.
#[derive(Clone)]
pub struct Gateway {
    at: Endpoint,
}

impl Gateway {
    /// The gateway at `url`, which is what comes before `/ipfs/`, asked by
    /// `http`. Errors tell no more of it than scheme, host and port.
    pub fn new(url: impl Into<String>, http: impl Http + 'static) -> Self {
        let at = Endpoint::new(url.into(), http);
        Self { at }
    }
}

#[async_trait]
impl Source for Gateway {
    fn name(&self) -> &str {
        &self.at.name
    }

    async fn block(
        &self,
        cid: &Cid,
        limit: usize,
        timeout: Duration,
    ) -> Result<Bytes, SourceError> {
        let request = Request::get(format!("{}/ipfs/{cid}?format=raw", self.at.url))
            .header("accept", "application/vnd.ipld.raw")
            .timeout(timeout);
        let response = self.at.send(request).await?;
        answer::whole(&self.at, response, limit).await
    }

    async fn car(
        &self,
        query: &Query,
        silence: Duration,
        timeout: Duration,
    ) -> Result<Body, SourceError> {
        let mut url = format!("{}/ipfs/{}", self.at.url, query.cid);
        for part in query.path.components() {
            url.push('/');
            url.extend(utf8_percent_encode(part, ESCAPED));
        }
        let scope = match query.scope {
            Scope::Block => "block",
            Scope::Entity => "entity",
            Scope::All => "all",
        };
        let request = Request::get(format!("{url}?format=car&dag-scope={scope}"))
            .header("accept", "application/vnd.ipld.car;version=1")
            .silence(silence)
            .timeout(timeout);
        let response = self.at.send(request).await?;
        answer::body(&self.at, response).await
    }

    async fn record(&self, name: &Name, timeout: Duration) -> Result<Bytes, SourceError> {
        let request = Request::get(format!("{}/ipns/{name}?format=ipns-record", self.at.url))
            .header("accept", "application/vnd.ipfs.ipns-record")
            .timeout(timeout);
        let response = self.at.send(request).await?;
        answer::whole(&self.at, response, Record::MAX_LEN).await
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gateway({:?})", self.at.name)
    }
}
