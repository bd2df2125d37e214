//! `Host`, over a network of several hosts in one process.

use std::rc::Rc;
use std::sync::Arc;

use capnp::ErrorKind;
use ww_core::network::{Memory, Multiaddr, Network, PeerId, Switch};
use ww_core::serve::Host;
use ww_rpc::peer_capnp::host;

use crate::stage::{Answer, Stage, echo};

fn host(stage: &Stage, network: &Arc<Memory>) -> host::Client {
    Host::new(Rc::new(stage.spawner(network.clone()))).client()
}

async fn id(host: &host::Client) -> PeerId {
    let response = host.id_request().send().promise.await.unwrap();
    PeerId::from_bytes(response.get().unwrap().get_peer_id().unwrap()).unwrap()
}

fn addrs(list: capnp::data_list::Reader<'_>) -> Vec<Multiaddr> {
    let addr = |addr: capnp::Result<&[u8]>| Multiaddr::try_from(addr.unwrap().to_vec()).unwrap();
    list.iter().map(addr).collect()
}

async fn listens(host: &host::Client) -> Vec<Multiaddr> {
    let response = host.addrs_request().send().promise.await.unwrap();
    addrs(response.get().unwrap().get_addrs().unwrap())
}

async fn peers(host: &host::Client) -> Vec<(PeerId, Vec<Multiaddr>)> {
    let response = host.peers_request().send().promise.await.unwrap();
    let peers = response.get().unwrap().get_peers().unwrap();
    let peer = |peer: ww_rpc::peer_capnp::peer_info::Reader<'_>| {
        let id = PeerId::from_bytes(peer.get_peer_id().unwrap()).unwrap();
        (id, addrs(peer.get_addrs().unwrap()))
    };
    peers.iter().map(peer).collect()
}

async fn connect(host: &host::Client, peer: &[u8], addrs: &[&[u8]]) -> Answer<()> {
    let mut request = host.connect_request();
    request.get().set_peer_id(peer);
    let mut list = request.get().init_addrs(addrs.len() as u32);
    for (index, addr) in (0..).zip(addrs) {
        list.set(index, addr);
    }
    request.send().promise.await.map(drop)
}

#[test]
fn two_hosts_of_one_process_know_and_find_each_other() {
    Stage::run(async |stage| {
        let switch = Switch::new();
        let (alice, bob) = (Arc::new(switch.join()), Arc::new(switch.join()));
        let (alices, bobs) = (alice.listen(), bob.listen());
        let (one, other) = (host(&stage, &alice), host(&stage, &bob));

        assert_eq!(id(&one).await, alice.local());
        assert_eq!(listens(&one).await, std::slice::from_ref(&alices));
        assert_eq!(peers(&one).await, []);

        let bob_id = id(&other).await;
        let at = listens(&other).await;
        connect(&one, &bob_id.to_bytes(), &[at[0].as_ref()])
            .await
            .unwrap();
        assert_eq!(peers(&one).await, [(bob.local(), vec![bobs])]);
        assert_eq!(peers(&other).await, [(alice.local(), vec![alices])]);
        connect(&other, &alice.local().to_bytes(), &[])
            .await
            .unwrap();
    });
}

#[test]
fn a_connection_that_cannot_be_made_is_refused_with_the_reason() {
    Stage::run(async |stage| {
        let switch = Switch::new();
        let (alice, bob) = (Arc::new(switch.join()), switch.join());
        let one = host(&stage, &alice);
        let peer = bob.local().to_bytes();
        let nowhere: Multiaddr = "/memory/404".parse().unwrap();
        let many: [&[u8]; 65] = [nowhere.as_ref(); 65];
        let long = vec![0; 1025];
        let own = alice.local().to_bytes();
        let cases: [(&[u8], &[&[u8]], &str); 8] = [
            (&own, &[nowhere.as_ref()], "it is this host itself"),
            (&peer, &many, "65 addresses of peer"),
            (&peer, &many[1..], "nobody listens there"),
            (&peer, &[&long], "address 0 of peer"),
            (b"", &[], "peer id is malformed"),
            (b"garbage", &[], "peer id is malformed"),
            (
                &peer,
                &[nowhere.as_ref(), b"\xff\xff\xff"],
                "address 1 of peer",
            ),
            (
                &peer,
                &[nowhere.as_ref()],
                "/memory/404: nobody listens there",
            ),
        ];
        for (peer, addrs, reason) in cases {
            let error = connect(&one, peer, addrs).await.unwrap_err();
            assert!(error.extra.contains(reason), "{error}");
            // It may be there another time.
            let passing = reason.contains("nobody listens");
            assert_eq!(error.kind == ErrorKind::Disconnected, passing, "{error}");
        }
        assert_eq!(peers(&one).await, []);
    });
}

#[test]
fn a_host_runs_cells() {
    Stage::run(async |stage| {
        let one = host(&stage, &Arc::new(Switch::new().join()));
        let executor = one.executor_request().send().pipeline.get_executor();
        assert_eq!(echo(&executor, "").await.unwrap(), "Echo: ");
        assert_eq!(echo(&executor, "hello").await.unwrap(), "Echo: hello");
    });
}
