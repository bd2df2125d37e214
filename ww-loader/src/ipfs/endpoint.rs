use std::sync::Arc;

use super::SourceError;
use crate::http::{Http, Request, Response};

/// Where a source is, and how it is asked.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// What all paths are put behind, without a slash at its end.
    pub(super) url: String,
    http: Arc<dyn Http>,
}

impl Endpoint {
    pub(super) fn new(url: String, http: impl Http + 'static) -> Self {
        let url = url.trim_end_matches('/').to_owned();
        let http = Arc::new(http);
        Self { url, http }
    }

    pub(super) async fn send(&self, request: Request) -> Result<Response, SourceError> {
        self.http.send(request).await.map_err(SourceError::Http)
    }
}
