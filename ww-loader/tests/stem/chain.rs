//! Heads of a contract on a development chain.

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use serde_json::json;
use ww_loader::http::Ureq;
use ww_loader::ipld::{Cid, Codec};
use ww_loader::stem::{Address, Stem, StemError};

use crate::clock::Skipping;
use crate::hardhat::{CHAIN, Chain};

#[test]
fn heads_of_a_real_chain_are_followed_through_a_reorganisation() {
    let Some(chain) = Chain::start() else {
        return;
    };
    let stem = |id: u64| {
        let (http, clock) = (Ureq::new(), Skipping::default());
        Stem::new(&chain.url, id, chain.contract, http, clock).confirmations(2)
    };
    let cids: Vec<_> = ["a", "b", "c"]
        .map(|text| Cid::of(Codec::Raw, text.as_bytes()))
        .to_vec();

    // Made, but nothing in it, and nothing confirmed.
    chain.mine(2);
    assert_eq!(block_on(stem(CHAIN).head()).unwrap(), None);
    chain.advance(&cids[0]);
    assert_eq!(block_on(stem(CHAIN).head()).unwrap(), None);
    chain.mine(2);
    let mut heads = stem(CHAIN).heads();
    let first = block_on(heads.next()).unwrap().unwrap();
    assert_eq!((first.seq, &first.cid), (1, &cids[0]));

    // A roll-out that is undone before it is confirmed was never there.
    let before = chain.ask("evm_snapshot", json!([]));
    chain.advance(&cids[1]);
    chain.mine(1);
    assert_eq!(
        block_on(stem(CHAIN).known(first.clone()).head()).unwrap(),
        None
    );
    assert_eq!(chain.ask("evm_revert", json!([before])), json!(true));
    chain.advance(&cids[2]);
    chain.mine(2);
    let second = block_on(heads.next()).unwrap().unwrap();
    assert_eq!((second.seq, &second.cid), (2, &cids[2]));
    assert_eq!(second.block, first.block + 3);

    // Another chain, another contract, and none at all.
    let error = block_on(stem(1).head()).unwrap_err();
    assert!(
        matches!(error, StemError::Chain { found: CHAIN, .. }),
        "{error:?}"
    );
    let nothing = Address([7; 20]);
    let nowhere = Stem::new(&chain.url, CHAIN, nothing, Ureq::new(), Skipping::default());
    let error = block_on(nowhere.confirmations(0).head()).unwrap_err();
    assert!(matches!(error, StemError::NoContract { .. }), "{error:?}");
}
