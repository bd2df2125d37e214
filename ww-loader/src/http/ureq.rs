mod turns;

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use blocking::Unblock;
use bytes::Bytes;
use futures::AsyncReadExt;
use futures::stream;
use ureq::{Agent, AsSendBody, RequestExt};

use self::turns::{Turn, Turns};
use super::{Body, Http, HttpError, Method, Request, Response, server};

/// Bytes of a body that are read at once.
const PIECE: usize = 64 << 10;

/// The longest that a thread is held by a request which nobody waits for.
const LONGEST: Duration = Duration::from_secs(600);

/// The `ureq` client, on the `blocking` crate's pool, with TLS by `rustls` and
/// the roots of Mozilla.
///
/// Connections are kept and used again. A clone shares them. At most 128 requests
/// go on at a time, 32 of them to one server, of which each does until its answer was
/// read to its end, or dropped; others wait for them. Who waits and is not polled is in
/// nobody's way, who has an answer and does not read it is.
#[derive(Clone, Debug)]
pub struct Ureq {
    agent: Agent,
    turns: Turns,
}

impl Ureq {
    /// A client without connections.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The default looks into the environment.
            .proxy(None)
            .user_agent(concat!("ww-loader/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(LONGEST))
            .build();
        Self {
            agent: config.into(),
            turns: Turns::default(),
        }
    }

    fn run(&self, request: Request) -> Result<Answer, HttpError> {
        let url = request.url.clone();
        self.ask(request).map_err(|error| match error {
            // Its text has the whole address.
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                HttpError::new(url, "its address is no URL of HTTP").lasting()
            }
            // What TLS makes of a certificate, or of a server that speaks something else.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                HttpError::new(url, error).lasting()
            }
            ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::TlsRequired => {
                HttpError::new(url, error).lasting()
            }
            error => HttpError::new(url, error),
        })
    }

    fn ask(&self, request: Request) -> Result<Answer, ureq::Error> {
        let mut builder = ureq::http::Request::builder().uri(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let timeout = request.timeout.unwrap_or(LONGEST).min(LONGEST);
        let silence = request.silence;
        match request.method {
            Method::Get => self.with(builder.method("GET").body(())?, timeout, silence),
            Method::Post => {
                let body = request.body.to_vec();
                self.with(builder.method("POST").body(body)?, timeout, silence)
            }
        }
    }

    fn with(
        &self,
        request: ureq::http::Request<impl AsSendBody>,
        timeout: Duration,
        silence: Option<Duration>,
    ) -> Result<Answer, ureq::Error> {
        request
            .with_agent(&self.agent)
            .configure()
            .timeout_global(Some(timeout))
            .timeout_recv_response(silence)
            .timeout_per_read(silence)
            .run()
    }
}

type Answer = ureq::http::Response<ureq::Body>;

impl Default for Ureq {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Http for Ureq {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let (client, url) = (self.clone(), request.url.clone());
        let turn = self.turns.next(server(&url)).await;
        let (answer, turn) = blocking::unblock(move || (client.run(request), turn)).await;
        let (head, body) = answer?.into_parts();
        let headers = head.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        });
        Ok(Response {
            status: head.status.as_u16(),
            headers: headers.collect(),
            body: stream_of(body.into_reader(), url, turn),
        })
    }
}

fn stream_of(reader: ureq::BodyReader<'static>, url: String, turn: Turn) -> Body {
    let reader = Unblock::with_capacity(PIECE, Held(reader, turn));
    let pieces = stream::unfold(Some((reader, url)), |open| async {
        let (mut reader, url) = open?;
        let mut piece = vec![0; PIECE];
        match reader.read(&mut piece).await {
            Ok(0) => None,
            Ok(len) => {
                piece.truncate(len);
                Some((Ok(Bytes::from(piece)), Some((reader, url))))
            }
            Err(error) => Some((Err(HttpError::new(url, error)), None)),
        }
    });
    Body::new(Box::pin(pieces))
}

/// A body, and the turn of its request, which is over when the pool's thread is done
/// with the body.
struct Held(
    ureq::BodyReader<'static>,
    #[expect(dead_code, reason = "held")] Turn,
);

impl io::Read for Held {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use futures::FutureExt;
    use futures::future::join_all;
    use futures_lite::future::block_on;

    use super::turns::{MOST, SHARE};
    use super::*;

    /// A server that says nothing, and hands over its connections.
    fn silent(connections: Sender<std::net::TcpStream>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("it has one");
        thread::spawn(move || {
            let mut streams = listener.incoming().map_while(Result::ok);
            streams.try_for_each(|stream| connections.send(stream))
        });
        address
    }

    #[test]
    fn requests_wait_for_as_many_as_may_go_on_also_for_those_that_were_given_up() {
        let (connections, accepted) = channel();
        let servers = [0; MOST / SHARE + 1].map(|_| silent(connections.clone()));
        let http = Ureq::new();
        let ask = |address| http.send(Request::get(format!("http://{address}")));
        let many = servers.iter().flat_map(|address| [address; SHARE + 10]);
        let mut asked = join_all(many.map(ask));
        assert!((&mut asked).now_or_never().is_none());
        let held: Vec<_> = accepted.iter().take(MOST).collect();
        let of = |address: &SocketAddr| {
            let at = |stream: &&std::net::TcpStream| stream.local_addr().ok() == Some(*address);
            held.iter().filter(at).count()
        };
        // Each of the first has its share, and the last has to wait.
        assert!(
            servers[..MOST / SHARE]
                .iter()
                .all(|address| of(address) == SHARE)
        );
        drop(asked);
        assert!(http.turns.next("another".into()).now_or_never().is_none());
        drop(held);
        drop(block_on(http.turns.next("another".into())));
    }

    #[test]
    fn a_server_that_never_answers_does_not_have_others_wait() {
        let (connections, accepted) = channel();
        let address = silent(connections);
        let http = Ureq::new();
        let ask = |_| http.send(Request::get(format!("http://u:p@{address}/{MOST}")));
        let mut asked = join_all((0..MOST).map(ask));
        assert!((&mut asked).now_or_never().is_none());
        let held: Vec<_> = accepted.iter().take(SHARE).collect();
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let place = other.local_addr().expect("it has one");
        thread::spawn(move || {
            let (mut stream, _) = other.accept().expect("somebody asks");
            io::Write::write_all(&mut stream, b"HTTP/1.1 204 Said\r\n\r\n").expect("it is there");
        });
        let url = format!("http://{place}");
        let turn = http.turns.next(server(&url)).now_or_never();
        assert!(turn.is_some(), "it need not wait");
        drop(turn);
        let answer = block_on(http.send(Request::get(url)));
        assert_eq!(answer.expect("it answers").status, 204);
        drop(held);
    }
}
