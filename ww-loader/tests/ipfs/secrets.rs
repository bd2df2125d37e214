//! What nobody is told of a source.

use futures_lite::future::block_on;
use ww_loader::http::Ureq;
use ww_loader::ipfs::{Blocks, Error, Gateway, Ipfs, Kubo, Retry, Scope};
use ww_loader::ipld::{Cid, Codec};
use ww_loader::{Loader, Path};

use crate::server::{Asked, Reply, Server};

/// What an error says, and what its causes say, in any way.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

#[test]
fn errors_name_servers_and_not_what_is_secret_in_their_addresses() {
    let cid = Cid::of(Codec::DagPb, b"root");
    let mut retry = Retry::default();
    retry.rounds = 1;
    type Answer = Box<dyn Fn(&Asked) -> Reply + Send + Sync>;
    let answers: [(&str, Answer); 4] = [
        (
            "refuses",
            Box::new(|asked| Reply::Whole(500, asked.target.clone().into())),
        ),
        (
            "redirects",
            Box::new(|asked| Reply::Redirect(301, asked.target.clone())),
        ),
        (
            "redirects away",
            Box::new(|asked| Reply::Redirect(302, format!("http://elsewhere{}", asked.target))),
        ),
        (
            "breaks off",
            Box::new(|_| Reply::Garbage(b"nonsense".into())),
        ),
    ];
    let servers = answers.map(|(what, answer)| (what, Server::new(answer).url));
    // Nobody listens there.
    let dead = ("is dead", "http://127.0.0.1:1".to_owned());
    let wrong = ("is none", "u:secret@127.0.0.1:1".to_owned());
    for (what, url) in servers.into_iter().chain([dead, wrong]) {
        let place = url.trim_start_matches("http://");
        let url = format!("http://u:secret@{place}/secret");
        let blocks = || Blocks::builder().retry(retry);
        let sources = [
            blocks().source(Gateway::new(&*url, Ureq::new())).build(),
            blocks().source(Kubo::new(&*url, Ureq::new())).build(),
        ];
        for blocks in sources {
            let root = Ipfs::new(cid.clone().into(), &blocks);
            let name = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8";
            for told in [
                text(&block_on(blocks.block(&cid)).unwrap_err()),
                text(&block_on(blocks.prefetch(&cid.clone().into(), Scope::All)).unwrap_err()),
                text(&block_on(blocks.record(&name.parse().unwrap())).unwrap_err()),
                text(&block_on(root.open(&Path::root())).unwrap_err()),
                format!("{blocks:?}"),
            ] {
                assert!(!told.contains("secret"), "{what}: {told}");
            }
            let Err(Error::Unavailable { attempts, .. }) = block_on(blocks.block(&cid)) else {
                panic!("{what} gives nothing");
            };
            let at = attempts[0].source.trim_start_matches("http://");
            assert!(at == place || what == "is none", "{at}");
        }
        let debug = format!("{:?}", Gateway::new(&*url, Ureq::new()));
        assert!(!debug.contains("secret"), "{debug}");
    }
}
