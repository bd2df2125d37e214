//! Errors that no second try would mend.

use std::io::{Read, Write};
use std::net::TcpListener;

use futures_lite::future::block_on;
use ww_loader::clock::Clock;
use ww_loader::http::Ureq;
use ww_loader::ipfs::{Blocks, Error, Gateway, Ipfs, SourceError};
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Loader, Path};

use crate::clock::Hasty;

#[test]
fn an_address_that_leads_nowhere_is_told_at_once() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let tls = format!("https://{}", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(b"HTTP/1.1 400 Not TLS\r\n\r\n").unwrap();
            // Whether it hangs up or breaks off is the client's business.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let closed = format!("http://{}", closed.unwrap());
    for (url, why, passing) in [
        ("no url", "no URL of HTTP", false),
        ("", "no URL of HTTP", false),
        ("http://", "no URL of HTTP", false),
        ("http://ho st", "no URL of HTTP", false),
        ("ftp://127.0.0.1", "no URL of HTTP", false),
        (&tls, "https://127.0.0.1", false),
        (&closed, &closed, true),
    ] {
        let clock = Hasty::default();
        let blocks = Blocks::builder()
            .clock(clock.clone())
            .source(Gateway::new(url, Ureq::new()))
            .build();
        let cid = Cid::of(Codec::DagPb, b"root");
        let error = block_on(blocks.block(&cid)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(why), "{url}: {text}");
        let Error::Unavailable { attempts, .. } = error else {
            panic!("{url}: {text}");
        };
        assert!(matches!(attempts[0].error, SourceError::Http(_)), "{text}");
        assert_eq!(attempts.len(), if passing { 3 } else { 1 }, "{url}: {text}");
        assert_eq!(clock.now().is_zero(), !passing, "{url}: {text}");
        let loader = Ipfs::new(cid.into(), &blocks);
        let error = block_on(loader.open(&Path::root())).unwrap_err();
        assert_eq!(error.is_passing(), passing, "{url}: {text}");
    }
}
