//! What an answer over HTTP is worth before its body is looked at.

use bytes::Bytes;

use super::SourceError;
use super::endpoint::Endpoint;
use crate::http::{Body, Response, server};

/// Characters of an unhelpful answer that are kept for the error.
const TEXT: usize = 120;

/// The body, if the answer brings what was asked for.
pub(super) async fn body(at: &Endpoint, response: Response) -> Result<Body, SourceError> {
    let status = response.status;
    match status {
        200 => Ok(response.body),
        300..=399 => {
            let to = response.header("location").unwrap_or_default();
            // The rest of it may repeat what was asked, too.
            let to = match to.contains("://") {
                true => server(to).chars().take(TEXT).collect(),
                false => "elsewhere on the same server".into(),
            };
            Err(SourceError::Redirect { status, to })
        }
        _ => {
            let again = response.retry_after();
            let plain = response
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/plain"));
            // A server may repeat what it was asked, and with it a secret.
            let text = match plain && at.is_public() {
                true => text(response.body).await,
                false => None,
            };
            Err(SourceError::Status {
                status,
                text,
                again,
            })
        }
    }
}

/// All of the body, if it is no longer than `limit`.
pub(super) async fn whole(
    at: &Endpoint,
    response: Response,
    limit: usize,
) -> Result<Bytes, SourceError> {
    let body = body(at, response).await?;
    match body.read(limit).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(SourceError::TooLarge { limit }),
        Err(error) => Err(SourceError::Http(error)),
    }
}

async fn text(body: Body) -> Option<String> {
    use futures::TryStreamExt;

    let piece = body.into_stream().try_next().await.ok().flatten()?;
    let text = String::from_utf8_lossy(&piece);
    let plain = text.chars().filter(|char| !char.is_control());
    Some(plain.take(TEXT).collect())
}
