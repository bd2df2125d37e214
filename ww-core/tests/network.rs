//! Hosts that find each other in one process, and a host that is alone.

use std::sync::Arc;

use futures::future::{join, poll_immediate};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use futures_lite::future::block_on;
use ww_core::network::{Error, Multiaddr, Network, Offline, Peer, State, Switch};

fn addr(text: &str) -> Multiaddr {
    text.parse().expect("a multiaddr")
}

#[test]
fn both_sides_of_a_connection_list_each_other() {
    let switch = Switch::new();
    let (alice, bob) = (switch.join(), switch.join());
    let (alices, bobs) = (alice.listen(), bob.listen());
    assert_ne!(alices, bobs);
    assert_eq!(bob.state().addrs, std::slice::from_ref(&bobs));

    // One address out of several is enough, and so is one that names the peer.
    let named = bobs.clone().with_p2p(bob.local()).expect("no peer named");
    block_on(alice.connect(bob.local(), vec![addr("/memory/9999"), named])).unwrap();

    let peer = |id, at: &Multiaddr| Peer {
        id,
        addrs: vec![at.clone()],
    };
    assert_eq!(alice.state().peers, [peer(bob.local(), &bobs)]);
    assert_eq!(bob.state().peers, [peer(alice.local(), &alices)]);
    // Connected already: no address needed, and nothing changes.
    let before = alice.state();
    block_on(alice.connect(bob.local(), vec![])).unwrap();
    block_on(bob.connect(alice.local(), vec![])).unwrap();
    assert_eq!(alice.state(), before);

    bob.disconnect(alice.local());
    assert_eq!(alice.state().peers, []);
    assert_eq!(bob.state().peers, []);
}

#[test]
fn a_connection_that_fails_names_the_peer_and_each_address() {
    let switch = Switch::new();
    let (alice, bob, carol) = (switch.join(), switch.join(), switch.join());
    let (bobs, carols) = (bob.listen(), carol.listen());
    let named = bobs.clone().with_p2p(carol.local()).expect("no peer named");
    let elsewhere = Switch::new().join().listen();
    let cases = [
        (bob.local(), vec![], vec!["no address".into()]),
        (
            bob.local(),
            vec![addr("/memory/77"), carols.clone()],
            vec![
                "/memory/77: nobody listens there".into(),
                format!("{carols}: peer {} answers there", carol.local()),
            ],
        ),
        (
            bob.local(),
            vec![addr("/ip4/127.0.0.1/tcp/1")],
            vec!["/ip4/127.0.0.1/tcp/1: nobody listens there".into()],
        ),
        (
            bob.local(),
            vec![named],
            vec![format!("names peer {}", carol.local())],
        ),
        (alice.local(), vec![bobs], vec!["this host itself".into()]),
    ];
    for (peer, addrs, reasons) in cases {
        let error = block_on(alice.connect(peer, addrs)).unwrap_err();
        let named = match (&error, peer == alice.local()) {
            (Error::Unreachable { peer, .. }, false) | (Error::Never { peer, .. }, true) => *peer,
            (error, _) => panic!("{error:?}"),
        };
        assert_eq!(named, peer);
        let text = error.to_string();
        assert!(text.contains(&peer.to_string()), "{text}");
        for reason in reasons {
            assert!(text.contains::<&str>(&reason), "{text} lacks {reason}");
        }
    }
    assert_eq!(alice.state().peers, []);
    // Addresses of one switch mean nothing on another.
    assert_eq!(elsewhere, addr("/memory/1"));
}

#[test]
fn every_change_is_noticed_without_asking_again() {
    let switch = Switch::new();
    let (alice, bob) = (switch.join(), switch.join());
    let seen = alice.state();
    assert_ne!(seen.version, 0);
    assert_eq!(block_on(alice.changed(0)), seen);

    let changes: [(&str, &dyn Fn()); 5] = [
        ("an address of its own", &|| drop(alice.listen())),
        ("a connection", &|| {
            block_on(bob.connect(alice.local(), alice.state().addrs)).unwrap();
        }),
        ("an address of a peer", &|| drop(bob.listen())),
        ("a lost connection", &|| alice.disconnect(bob.local())),
        ("a connection once more", &|| {
            block_on(alice.connect(bob.local(), bob.state().addrs)).unwrap();
        }),
    ];
    for (what, change) in changes {
        let before = alice.state();
        let mut changed = alice.changed(before.version);
        assert_eq!(
            block_on(poll_immediate(&mut changed)),
            None,
            "{what} came early"
        );
        change();
        let after = block_on(changed);
        assert_ne!(after.version, before.version, "{what}");
        assert_ne!(
            after,
            State {
                version: after.version,
                ..before
            },
            "{what}"
        );
        assert_eq!(after, alice.state(), "{what}");
    }

    let before = alice.state();
    let changed = alice.changed(before.version);
    drop(bob);
    assert_eq!(block_on(changed).peers, []);
}

#[test]
fn streams_carry_bytes_both_ways_under_a_protocol() {
    let switch = Switch::new();
    // Through the trait object, as the servers see it.
    let alice = switch.join();
    let bob = switch.join();
    let at = bob.listen();
    let alice: Arc<dyn Network> = Arc::new(alice);
    block_on(async {
        alice.connect(bob.local(), vec![at]).await.unwrap();
        let mut accepted = bob.accept("/echo/1");
        let serve = async {
            let (peer, mut stream) = accepted.next().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            stream
                .write_all(text.to_uppercase().as_bytes())
                .await
                .unwrap();
            peer
        };
        let ask = async {
            let mut stream = alice.open(bob.local(), "/echo/1").await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            stream.close().await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let (peer, text) = join(serve, ask).await;
        assert_eq!((peer, text.as_str()), (alice.local(), "HELLO"));
    });
}

#[test]
fn a_stream_that_nobody_accepts_is_refused() {
    let switch = Switch::new();
    let (alice, bob) = (switch.join(), switch.join());
    let at = bob.listen();
    let open = || match block_on(alice.open(bob.local(), "/a")) {
        Ok(_) => panic!("a stream was opened"),
        Err(error) => error,
    };
    let accepted = bob.accept("/a");
    assert!(matches!(open(), Error::NotConnected { peer } if peer == bob.local()));

    block_on(alice.connect(bob.local(), vec![at])).unwrap();
    drop(accepted);
    let error = open();
    assert!(
        matches!(&error, Error::Refused { peer, protocol } if *peer == bob.local() && protocol == "/a")
    );
    assert!(error.to_string().contains("/a"));

    // Who accepts last gets the streams, and earlier acceptors end.
    let mut first = bob.accept("/a");
    let mut second = bob.accept("/a");
    block_on(alice.open(bob.local(), "/a")).map(drop).unwrap();
    assert!(block_on(first.next()).is_none());
    assert!(block_on(second.next()).is_some());
}

#[test]
fn a_host_without_a_network_has_an_identity_and_nothing_else() {
    let alone = Offline::new();
    let peer = Switch::new().join().local();
    assert_ne!(alone.local(), Offline::new().local());
    assert_eq!(Offline::identified(peer).local(), peer);
    assert_eq!(alone.state(), State::default());
    assert_eq!(block_on(poll_immediate(alone.changed(0))), None);
    assert!(block_on(poll_immediate(alone.accept("/a").next())).is_none());
    let error = block_on(alone.connect(peer, vec![addr("/memory/1")])).unwrap_err();
    assert!(error.to_string().contains(&peer.to_string()));
    assert!(matches!(
        block_on(alone.open(peer, "/a")),
        Err(Error::NotConnected { .. })
    ));
}
