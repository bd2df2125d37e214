//! How long a server asks to be left alone.

use std::time::Duration;

use futures_lite::future::block_on;
use ww_loader::http::{Body, Http, HttpError, Request, Response};
use ww_loader::ipfs::{Gateway, Source, SourceError};
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Bytes, async_trait};

/// Is busy, and says so with these fields.
struct Busy(Vec<(&'static str, &'static str)>);

#[async_trait]
impl Http for Busy {
    async fn send(&self, _: Request) -> Result<Response, HttpError> {
        let mut response = Response::new(503, Body::from(Bytes::new()));
        let fields = self.0.iter();
        let fields = fields.map(|(name, value)| ((*name).into(), (*value).into()));
        response.headers.extend(fields);
        Ok(response)
    }
}

#[test]
fn a_server_says_in_seconds_or_by_date_for_how_long_it_is_busy() {
    let now = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (again, date, seconds) in [
        (Some("7"), None, Some(7)),
        (Some(" 7 "), Some(now), Some(7)),
        (Some("Sun, 06 Nov 1994 08:51:07 GMT"), Some(now), Some(90)),
        // The obsolete forms, which a recipient must understand.
        (Some("Sunday, 06-Nov-94 08:49:39 GMT"), Some(now), Some(2)),
        (Some("Sun Nov  6 08:49:38 1994"), Some(now), Some(1)),
        (Some("Sun, 06 Nov 1994 08:49:36 GMT"), Some(now), Some(0)),
        (Some("Sun, 06 Nov 1994 08:51:07 GMT"), Some("now"), None),
        (Some("Sun, 06 Nov 1994 08:51:07 GMT"), None, None),
        (Some("-1"), Some(now), None),
        (Some("soon"), Some(now), None),
        (None, Some(now), None),
    ] {
        let again = again.map(|again| ("retry-after", again));
        let fields = again.into_iter().chain(date.map(|date| ("date", date)));
        let gateway = Gateway::new("http://gateway", Busy(fields.collect()));
        let cid = Cid::of(Codec::Raw, b"block");
        let said = block_on(gateway.block(&cid, 99, Duration::MAX));
        let Err(SourceError::Status { again: said, .. }) = said else {
            panic!("it is busy: {said:?}");
        };
        assert_eq!(said, seconds.map(Duration::from_secs), "{again:?} {date:?}");
    }
}
