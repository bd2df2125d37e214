use std::sync::Arc;

use super::SourceError;
use crate::http::{Http, Request, Response, server};

/// Where a source is, and how it is asked.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// What all paths are put behind, without a slash at its end.
    pub(super) url: String,
    /// What it is called.
    pub(super) name: String,
    http: Arc<dyn Http>,
}

impl Endpoint {
    pub(super) fn new(url: String, http: impl Http + 'static) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let name = server(&url);
        let http = Arc::new(http);
        Self { url, name, http }
    }

    /// Whether its address is known to whoever knows its name.
    pub(super) fn is_public(&self) -> bool {
        self.url == self.name
    }

    pub(super) async fn send(&self, request: Request) -> Result<Response, SourceError> {
        self.http.send(request).await.map_err(SourceError::Http)
    }
}
