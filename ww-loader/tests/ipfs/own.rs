//! An embedder's own HTTP client is enough, on any executor.

use std::sync::{Arc, Mutex};

use ww_loader::contract::{self, SAMPLE};
use ww_loader::http::{Body, Http, HttpError, Method, Request, Response};
use ww_loader::ipfs::{Blocks, Gateway, Ipfs, Kubo, Scope};
use ww_loader::{Bytes, async_trait};

use crate::pack::{self, Pack};
use crate::server::{Asked, Reply};

/// Answers without a network, and notes what it was asked.
#[derive(Clone)]
struct Canned {
    blocks: pack::Blocks,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Canned {
    fn new(blocks: &pack::Blocks) -> Self {
        let (blocks, asked) = (blocks.clone(), Arc::default());
        Self { blocks, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Http for Canned {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let target = request.url.strip_prefix("canned://here").unwrap();
        self.asked.lock().unwrap().push(target.to_owned());
        let asked = |target: &str| Asked {
            method: String::new(),
            target: target.to_owned(),
            headers: Vec::new(),
        };
        let honest = pack::gateway(self.blocks.clone());
        let reply = match target.strip_prefix("/api/v0/block/get?arg=") {
            Some(cid) if matches!(request.method, Method::Post) => {
                honest(&asked(&format!("/ipfs/{cid}?format=raw")))
            }
            _ => honest(&asked(target)),
        };
        let Reply::Whole(status, bytes) = reply else {
            panic!("an honest gateway answers at once");
        };
        Ok(Response::new(status, Body::from(Bytes::from(bytes))))
    }
}

#[test]
fn a_client_of_ones_own_serves_gateways_and_nodes_on_any_executor() {
    let mut pack = Pack::default();
    let root = pack.tree(SAMPLE);
    let http = Canned::new(&pack.blocks);
    let loader = |blocks: Blocks| Ipfs::new(root.clone().into(), &blocks);
    let gateway = Blocks::builder().source(Gateway::new("canned://here", http.clone()));
    let gateway = loader(gateway.build());
    futures::executor::block_on(contract::check(&gateway, SAMPLE)).unwrap();
    let node = Blocks::builder().source(Kubo::new("canned://here/", http.clone()));
    let node = loader(node.build());
    http.asked();
    futures_lite::future::block_on(contract::check(&node, SAMPLE)).unwrap();
    let asked = http.asked();
    assert!(
        asked.iter().all(|asked| asked.starts_with("/api/v0/")),
        "{asked:?}"
    );
}

#[test]
fn each_scope_is_asked_for_by_its_name() {
    let mut pack = Pack::default();
    let root = pack.tree(SAMPLE);
    for (scope, name) in [
        (Scope::Block, "block"),
        (Scope::Entity, "entity"),
        (Scope::All, "all"),
    ] {
        let http = Canned::new(&pack.blocks);
        let blocks = Blocks::builder().source(Gateway::new("canned://here", http.clone()));
        let (blocks, path) = (blocks.build(), root.clone().into());
        futures_lite::future::block_on(blocks.prefetch(&path, scope)).unwrap();
        let asked = format!("/ipfs/{root}?format=car&dag-scope={name}");
        assert_eq!(http.asked(), [asked]);
    }
}
