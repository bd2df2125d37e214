//! What nobody is told of a node.

use std::error::Error as _;

use futures_lite::future::block_on;
use serde_json::json;
use ww_loader::http::Ureq;
use ww_loader::stem::Stem;

use crate::CONTRACT;
use crate::clock::Skipping;
use crate::node::{Node, Reply};

#[test]
fn errors_name_nodes_and_not_what_is_secret_in_their_addresses() {
    let raw = |status| Reply::Raw(status, String::new(), "oops".into());
    let replies = [
        Some(raw(429)),
        Some(raw(500)),
        Some(raw(200)),
        Some(Reply::Error(json!({"code": -1, "message": "no"}))),
        Some(Reply::Cut),
        // Another chain.
        Some(Reply::Raw(
            200,
            String::new(),
            r#"{"id":1,"result":"0x8"}"#.into(),
        )),
        None,
    ];
    for reply in replies {
        let node = Node::start();
        let place = node.url().trim_start_matches("http://").to_owned();
        let _stopped = match reply {
            Some(reply) => {
                node.once("eth_chainId", reply);
                Ok(node)
            }
            None => Err(node.stop()),
        };
        let url = format!("http://u:secret@{place}/v3/secret");
        let clock = Skipping::default();
        let stem = Stem::new(url, 7, CONTRACT.parse().unwrap(), Ureq::new(), clock);
        let error = block_on(stem.head()).unwrap_err();
        let mut told = format!("{stem:?} {error} {error:?}");
        let mut cause = error.source();
        while let Some(error) = cause {
            told += &format!(" {error} {error:?}");
            cause = error.source();
        }
        assert!(!told.contains("secret"), "{told}");
        assert!(told.contains(&place), "{told}");
    }
}
