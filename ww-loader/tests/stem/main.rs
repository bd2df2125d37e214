//! Heads of a contract, from nodes that are right, late, wrong or hostile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(unix)]
mod chain;
mod clock;
#[cfg(unix)]
mod hardhat;
mod node;
mod secrets;

use std::time::Duration;

use clock::Skipping;
use futures_lite::StreamExt;
use futures_lite::future::block_on;
use node::{Node, Reply, encoded};
use serde_json::{Value, json};
use ww_loader::http::Ureq;
use ww_loader::ipld::{Cid, Codec};
use ww_loader::stem::{Address, Head, Stem, StemError};

const CONTRACT: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";
const SECOND: Duration = Duration::from_secs(1);

fn cid(text: &str) -> Cid {
    Cid::of(Codec::Raw, text.as_bytes())
}

fn stem(node: &Node) -> (Stem, Skipping) {
    let clock = Skipping::default();
    let contract = CONTRACT.parse().unwrap();
    let stem = Stem::new(node.url(), 7, contract, Ureq::new(), clock.clone());
    (stem.confirmations(2).interval(SECOND), clock)
}

fn head(seq: u64, text: &str, block: u64) -> Head {
    let cid = cid(text);
    Head { seq, cid, block }
}

/// The next item, which is there without anything else happening.
macro_rules! next {
    ($heads:expr) => {
        block_on($heads.next()).unwrap()
    };
}

#[test]
fn each_head_is_given_once_and_read_where_it_is_confirmed() {
    let node = Node::start();
    node.at(10).has(1, &cid("a"));
    let mut heads = stem(&node).0.heads();
    assert_eq!(next!(heads).unwrap(), head(1, "a", 8));
    let asked = node.asked();
    let methods: Vec<_> = asked.iter().map(|(method, _)| method.as_str()).collect();
    let wanted = [
        "eth_chainId",
        "eth_blockNumber",
        "eth_getBlockByNumber",
        "eth_call",
    ];
    assert_eq!(methods, wanted);
    assert_eq!(asked[2].1, json!(["0x8", false]));
    let call = json!({"to": CONTRACT.to_lowercase(), "data": "0x8f7dcfa3"});
    let at = json!({"blockHash": node.hash(8), "requireCanonical": true});
    assert_eq!(asked[3].1, json!([call, at]));
    // Nothing new in three questions, then a head that skips some numbers.
    node.later(3, |node| {
        node.at(11).has(5, &cid("b"));
    });
    assert_eq!(next!(heads).unwrap(), head(5, "b", 9));
}

#[test]
fn before_the_first_confirmed_block_and_the_first_head_there_is_none() {
    let node = Node::start();
    node.at(1).has(1, &cid("a"));
    assert_eq!(block_on(stem(&node).0.head()).unwrap(), None);
    node.at(2).answers(encoded(0, &[]));
    assert_eq!(block_on(stem(&node).0.head()).unwrap(), None);
    node.at(3).has(1, &cid("a"));
    let (stem, _) = stem(&node);
    assert_eq!(block_on(stem.head()).unwrap(), Some(head(1, "a", 1)));
    let known = stem.clone().known(head(1, "a", 1));
    assert_eq!(block_on(known.head()).unwrap(), None);
    let other = stem.known(head(2, "b", 1));
    let error = block_on(other.head()).unwrap_err();
    assert!(matches!(
        error,
        StemError::Backwards {
            last: 2,
            found: 1,
            ..
        }
    ));
}

#[test]
fn what_makes_no_sense_is_told_and_survived() {
    let word = |number: u64| format!("{number:064x}");
    let data = |words: &[String]| Reply::Result(json!(format!("0x{}", words.concat())));
    let good = encoded(2, cid("b").as_bytes());
    let good = good.as_str().unwrap();
    let block = |block: Value| ("eth_getBlockByNumber", Reply::Result(block));
    let call = |reply: Reply| ("eth_call", reply);
    let abi = |words: &[String], reason: &'static str| {
        let text = format!("head() in block 9 answers what is not (uint64, bytes): {reason}");
        (call(data(words)), text)
    };
    let raw = |status: u16, body: &str| Reply::Raw(status, String::new(), body.into());
    let url = |text: &str| text.to_owned();
    let until = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 retry-after: Sun, 06 Nov 1994 08:51:07 GMT\r\n";
    let cases = [
        (
            ("eth_chainId", Reply::Result(json!("0x1"))),
            url("is on chain 1, not on 7"),
        ),
        (
            ("eth_chainId", Reply::Result(json!("7"))),
            url("\"7\" is no number"),
        ),
        (
            ("eth_chainId", Reply::Result(json!("0x"))),
            url("\"0x\" is no number"),
        ),
        (
            ("eth_chainId", Reply::Result(json!("0x+7"))),
            url("is no number"),
        ),
        (
            ("eth_chainId", Reply::Result(json!("0x10000000000000007"))),
            url("is no number"),
        ),
        (
            ("eth_chainId", Reply::Result(json!(7))),
            url("7 is no number"),
        ),
        (
            ("eth_blockNumber", Reply::Result(json!("0x9"))),
            url("would be 7, and 8 was read"),
        ),
        (block(Value::Null), url("it is not block 9")),
        (
            block(json!({"number": "0x8", "hash": node::hash(0, 8)})),
            url("it is not block 9"),
        ),
        (
            block(json!({"number": "0x9"})),
            url("the block has no hash"),
        ),
        (
            block(json!({"number": "0x9", "hash": "0x12"})),
            url("the block has no hash"),
        ),
        (
            call(Reply::Result(json!("0x"))),
            url("in block 9 answers head()"),
        ),
        (call(Reply::Result(json!("0x1"))), url("\"0x1\" is no data")),
        (call(Reply::Result(json!("0xzz"))), url("is no data")),
        (call(Reply::Result(json!(1))), url("1 is no data")),
        (call(Reply::Result(Value::Null)), url("null is no data")),
        abi(&[word(2), word(64)], "it is too short"),
        abi(
            &["12".into(), word(2), word(64), word(0)],
            "it is no whole number of words",
        ),
        abi(
            &["f".repeat(64), word(64), word(0)],
            "the number has more than 64 bits",
        ),
        abi(
            &[word(2), word(32), word(0)],
            "the bytes do not stand behind the number",
        ),
        abi(
            &[word(2), "f".repeat(64), word(0)],
            "the bytes do not stand behind",
        ),
        abi(
            &[word(2), word(64), "f".repeat(64)],
            "the bytes are too many",
        ),
        abi(&[word(2), word(64), word(257)], "the bytes are too many"),
        abi(
            &[word(2), word(64), word(33), word(0)],
            "the bytes are not as many",
        ),
        abi(
            &[word(2), word(64), word(0), word(0)],
            "the bytes are not as many",
        ),
        abi(
            &[word(2), word(64), word(31), "1".repeat(64)],
            "the bytes are followed by",
        ),
        (
            call(data(&[word(2), word(64), word(0)])),
            url("head 2 in block 9 is not a CID"),
        ),
        (
            call(data(&[
                word(0),
                word(64),
                word(1),
                "1".repeat(2) + &"0".repeat(62),
            ])),
            url("head 0 in"),
        ),
        (
            call(Reply::Error(
                json!({"code": 3, "message": "execution reverted"}),
            )),
            url("answered eth_call with error 3: execution reverted"),
        ),
        (call(Reply::Error(json!("no"))), url("\"no\" is no error")),
        (
            call(Reply::Error(
                json!({"code": -32005, "message": "slow down"}),
            )),
            url("limits how often it is asked"),
        ),
        (
            call(Reply::Raw(429, "retry-after: 30\r\n".into(), String::new())),
            url("for another 30 seconds"),
        ),
        (
            call(Reply::Raw(429, until.into(), String::new())),
            url("for another 90 seconds"),
        ),
        (
            call(raw(500, "oops")),
            url("answered eth_call with status 500"),
        ),
        (
            call(Reply::Raw(
                301,
                "location: http://127.0.0.1:1/\r\n".into(),
                String::new(),
            )),
            url("with status 301"),
        ),
        (call(raw(200, "<html>")), url("expected value")),
        (call(raw(200, "[]")), url("it is no object")),
        (call(raw(200, "{}")), url("it is for another question")),
        (
            call(raw(200, &format!(r#"{{"id":2,"result":{good:?}}}"#))),
            url("it is for another question"),
        ),
        (
            call(raw(200, r#"{"id":1}"#)),
            url("neither a result nor an error"),
        ),
        (
            call(raw(200, &" ".repeat((1 << 20) + 1))),
            url("it has more than 1048576 bytes"),
        ),
        (call(raw(200, &"[".repeat(100_000))), url("recursion limit")),
        (call(Reply::Cut), url("no answer to eth_call")),
        (call(Reply::Nothing), url("no answer to eth_call")),
    ];
    for ((method, reply), wanted) in cases {
        let node = Node::start();
        node.at(10).has(1, &cid("a"));
        let mut heads = stem(&node).0.heads();
        assert_eq!(next!(heads).unwrap(), head(1, "a", 8));
        node.at(11).has(2, &cid("b")).once(method, reply);
        let error = next!(heads).unwrap_err();
        let text = match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        assert!(text.contains(&wanted), "{text:?} is not {wanted:?}");
        assert!(text.len() < 512, "{text}");
        assert_eq!(next!(heads).unwrap(), head(2, "b", 9), "{wanted}");
    }
}

#[test]
fn heads_never_go_backwards_and_no_number_has_two() {
    let node = Node::start();
    node.at(10).has(5, &cid("five"));
    let mut heads = stem(&node).0.heads();
    assert_eq!(next!(heads).unwrap(), head(5, "five", 8));
    node.at(11).has(4, &cid("four"));
    let error = next!(heads).unwrap_err();
    assert!(
        matches!(
            error,
            StemError::Backwards {
                block: 9,
                last: 5,
                found: 4
            }
        ),
        "{error:?}"
    );
    // It is told again as long as it is so.
    assert!(matches!(next!(heads), Err(StemError::Backwards { .. })));
    node.at(12).has(5, &cid("other"));
    let error = next!(heads).unwrap_err();
    assert!(
        matches!(
            error,
            StemError::Rewritten {
                block: 10,
                seq: 5,
                ..
            }
        ),
        "{error:?}"
    );
    node.at(13).answers(encoded(0, &[]));
    assert!(matches!(
        next!(heads),
        Err(StemError::Backwards { found: 0, .. })
    ));
    node.at(14).has(6, &cid("six"));
    assert_eq!(next!(heads).unwrap(), head(6, "six", 12));
}

#[test]
fn a_block_that_was_replaced_is_read_again() {
    let node = Node::start();
    node.at(10).has(1, &cid("a"));
    let mut heads = stem(&node).0.heads();
    assert_eq!(next!(heads).unwrap(), head(1, "a", 8));
    node.asked();
    // The same number, another block, in which the head was not yet rolled out.
    node.reorganised().answers(encoded(0, &[]));
    assert!(matches!(next!(heads), Err(StemError::Backwards { .. })));
    // And a third, in which a newer one was.
    node.reorganised().has(2, &cid("b"));
    assert_eq!(next!(heads).unwrap(), head(2, "b", 8));
    // While a block stays what it is, nobody calls the contract again.
    node.asked();
    node.later(9, |node| {
        node.at(11).has(3, &cid("c"));
    });
    assert_eq!(next!(heads).unwrap(), head(3, "c", 9));
    let calls = node.asked();
    let calls = calls.iter().filter(|(method, _)| method == "eth_call");
    assert_eq!(calls.count(), 1);
}

#[test]
fn failures_double_the_wait_up_to_a_bound_and_success_ends_that() {
    let node = Node::start();
    node.at(10).has(1, &cid("a"));
    let (stem, clock) = stem(&node);
    let mut heads = stem.longest_wait(20 * SECOND).heads();
    next!(heads).unwrap();
    clock.slept();
    for _ in 0..6 {
        node.once("eth_chainId", Reply::Result(json!("0x1")));
        next!(heads).unwrap_err();
    }
    assert_eq!(clock.slept(), [1, 1, 2, 4, 8, 16].map(|n| n * SECOND));
    for asked in ["3", "10000", "soon"] {
        let limit = format!("retry-after: {asked}\r\n");
        node.once("eth_chainId", Reply::Raw(429, limit, String::new()));
        next!(heads).unwrap_err();
    }
    assert_eq!(clock.slept(), [20, 20, 20].map(|n| n * SECOND));
    node.at(11).has(2, &cid("b"));
    next!(heads).unwrap();
    let limit = "retry-after: 7\r\n".to_owned();
    node.once("eth_chainId", Reply::Raw(429, limit, String::new()));
    next!(heads).unwrap_err();
    node.at(12).has(3, &cid("c"));
    next!(heads).unwrap();
    assert_eq!(clock.slept(), [20, 1, 7].map(|n| n * SECOND));
}

#[test]
fn a_node_that_restarts_is_found_again_and_another_helps_out() {
    let node = Node::start();
    node.at(10).has(1, &cid("a"));
    let mut heads = stem(&node).0.heads();
    next!(heads).unwrap();
    let stopped = node.stop();
    assert!(matches!(next!(heads), Err(StemError::Http { .. })));
    let node = stopped.start();
    node.at(11).has(2, &cid("b"));
    assert_eq!(next!(heads).unwrap(), head(2, "b", 9));

    let other = Node::start();
    other.at(13).has(3, &cid("c"));
    let mut heads = stem(&node).0.node(other.url()).heads();
    assert_eq!(next!(heads).unwrap(), head(2, "b", 9));
    let _stopped = node.stop();
    assert!(matches!(next!(heads), Err(StemError::Http { .. })));
    assert_eq!(next!(heads).unwrap(), head(3, "c", 11));
}

#[test]
fn one_head_is_asked_of_the_next_node_where_the_first_has_none() {
    let [down, strange, good] = [Node::start(), Node::start(), Node::start()];
    strange.at(10).answers(json!("no head"));
    good.at(10).has(1, &cid("a"));
    let stem = stem(&down).0.node(strange.url());
    let _stopped = down.stop();
    let error = block_on(stem.head()).unwrap_err();
    assert!(matches!(error, StemError::Answer { .. }), "{error:?}");
    let stem = stem.node(good.url());
    assert_eq!(block_on(stem.head()).unwrap(), Some(head(1, "a", 8)));
    assert_eq!(block_on(stem.known(head(1, "a", 8)).head()).unwrap(), None);
}

#[test]
fn a_node_that_goes_silent_is_given_up() {
    for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"] {
        let node = Node::start();
        node.at(10).has(1, &cid("a"));
        node.once("eth_chainId", Reply::Silence(begun));
        let patient = stem(&node).0;
        let hasty = patient.clone().timeout(Duration::from_millis(50));
        let error = block_on(hasty.head()).unwrap_err();
        let StemError::Http { method, .. } = &error else {
            panic!("{begun:?}: {error:?}");
        };
        assert_eq!(*method, "eth_chainId");
        assert_eq!(block_on(patient.head()).unwrap(), Some(head(1, "a", 8)));
    }
}

#[test]
fn an_address_is_twenty_bytes() {
    let address: Address = CONTRACT.parse().unwrap();
    assert_eq!(address.to_string(), CONTRACT.to_lowercase());
    for text in [
        "",
        "0x",
        &CONTRACT[2..],
        &CONTRACT[..41],
        "0xg",
        "0x+FbDB2315678afecb367f032d93F642f64180aa3",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}
