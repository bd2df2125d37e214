//! HTTP, as far as loaders need it, behind a trait that an application can
//! serve with the client it already has.

mod server;
#[cfg(feature = "ureq")]
mod ureq;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

#[cfg(feature = "ureq")]
pub use self::ureq::Ureq;

pub(crate) use self::server::server;

/// A client for HTTP.
///
/// - Any status is an answer, redirects included: nothing is followed.
/// - The body is streamed: no more of it is read than is asked for, give or
///   take a buffer, and it comes as it was sent, not decompressed.
/// - A request that has a timeout ends by then with an error, body included,
///   and one that bounds silence after as much of it.
/// - Nothing is taken from the environment: no proxy, no credentials.
/// - Calls may run at once, on any executor. Dropping a call or a body gives
///   the connection up.
///
/// ```
/// use ww_loader::http::{Body, Http, HttpError, Request, Response};
/// use ww_loader::{Bytes, async_trait};
///
/// /// Says the same to everybody.
/// struct Canned(&'static str);
///
/// #[async_trait]
/// impl Http for Canned {
///     async fn send(&self, _: Request) -> Result<Response, HttpError> {
///         Ok(Response::new(200, Body::from(Bytes::from_static(self.0.as_bytes()))))
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let request = Request::get("http://localhost/");
/// let response = Canned("hello").send(request).await?;
/// assert_eq!(response.body.read(64).await?, Some(Bytes::from("hello")));
/// # Ok::<(), HttpError>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    ///
    /// [`HttpError`] when there is no answer.
    async fn send(&self, request: Request) -> Result<Response, HttpError>;
}

/// What a server is asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// How.
    pub method: Method,
    /// The whole address, percent-encoded.
    pub url: String,
    /// Names and values of header fields.
    pub headers: Vec<(&'static str, String)>,
    /// What is posted.
    pub body: Bytes,
    /// After this, body included, nobody waits for the answer any more.
    pub timeout: Option<Duration>,
    /// After this without the head of the answer, or then without more of its
    /// body, nobody waits for it any more.
    pub silence: Option<Duration>,
}

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// For what is there.
    Get,
    /// With something to be worked on.
    Post,
}

/// What a server answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values of header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// The body of an answer.
pub struct Body(BoxStream<'static, Result<Bytes, HttpError>>);

/// Why there is no answer, or no more of it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{server} does not answer")]
#[non_exhaustive]
pub struct HttpError {
    /// The server that was asked: scheme, host and port.
    pub server: String,
    /// What the client says.
    pub source: Arc<dyn std::error::Error + Send + Sync>,
    /// Whether asking again would be of no use.
    lasting: bool,
}

impl Request {
    /// A request for what is at `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout: None,
            silence: None,
        }
    }

    /// A request that posts `body` to `url`.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            method: Method::Post,
            body: body.into(),
            ..Self::get(url)
        }
    }

    /// This request with one more header field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// This request, given up where nothing comes for the time `silence`.
    #[must_use]
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = Some(silence);
        self
    }

    /// This request, given up after `timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl Response {
    /// An answer without header fields.
    pub fn new(status: u16, body: Body) -> Self {
        let headers = Vec::new();
        Self {
            status,
            headers,
            body,
        }
    }

    /// The first field called `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    /// How long the server asks not to be asked again, in either form that RFC 9110 has
    /// for it in section 10.2.3. A date is held against the server's own, so that it does
    /// not matter whose clock is right.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = |text: &str| httpdate::parse_http_date(text.trim()).ok();
        let (until, now) = (date(text)?, date(self.header("date")?)?);
        Some(until.duration_since(now).unwrap_or_default())
    }
}

impl Body {
    /// A body that comes in pieces.
    pub fn new(pieces: BoxStream<'static, Result<Bytes, HttpError>>) -> Self {
        Self(pieces)
    }

    /// The pieces as they come.
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, HttpError>> {
        self.0
    }

    /// All of the body, or `None` if it has more than `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`HttpError`] when it ends early.
    pub async fn read(self, limit: usize) -> Result<Option<Bytes>, HttpError> {
        use futures::TryStreamExt;

        let mut pieces = self.0;
        let mut whole = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            if piece.len() > limit - whole.len() {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        // Nothing but the body stays in memory.
        Ok(Some(whole.into_boxed_slice().into()))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Box::pin(futures::stream::iter([Ok(bytes)])))
    }
}

impl HttpError {
    /// What went wrong with a request to `url`, of which only the server is told: the
    /// rest may hold a secret. `source` is told as it is, and must not repeat it.
    pub fn new(
        url: impl AsRef<str>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            server: server(url.as_ref()),
            source: Arc::from(source.into()),
            lasting: false,
        }
    }

    /// This error, of a request that cannot be made at all: its address is none, say, or
    /// the server has no valid certificate.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.lasting = true;
        self
    }

    /// Whether asking again may bring an answer.
    pub fn is_passing(&self) -> bool {
        !self.lasting
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body")
    }
}

macro_rules! forward {
    ($($of:ty),*) => {$(
        #[async_trait]
        impl<H: Http + ?Sized> Http for $of {
            async fn send(&self, request: Request) -> Result<Response, HttpError> {
                (**self).send(request).await
            }
        }
    )*};
}

forward!(&H, Arc<H>, Box<H>);
