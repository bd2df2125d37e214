//! A guest that is lent a signer.

use std::rc::Rc;

use example_greeting::greeting_capnp::{greeter, invitation, reception};
use futures_lite::AsyncReadExt;
use futures_lite::future::block_on;
use libp2p_identity::{Keypair, PeerId};
use ww_core::cell::{Builder, Output};
use ww_membrane::{Admission, Epoch, Epochs, KeySigner, SessionContext, membrane};
use ww_rpc::stem_capnp::{membrane, signer};

/// Greets the peer that has proved itself.
struct Greeter(PeerId);

impl greeter::Server for Greeter {
    async fn greet(
        self: Rc<Self>,
        _: greeter::GreetParams,
        mut results: greeter::GreetResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_greeting(format!("Welcome, {}.", self.0));
        Ok(())
    }
}

type Club = membrane::Client<reception::Owned>;

fn club(epochs: Epochs, members: Vec<PeerId>) -> Club {
    let grant = |session: &SessionContext, mut granted: reception::Builder<'_>| {
        let peer = *session.signer().expect("only peers are admitted");
        granted.set_greeter(capnp_rpc::new_client(Greeter(peer)));
        Ok(())
    };
    membrane(epochs, Admission::peers("the club", members), grant)
}

#[test]
fn a_guest_signs_for_a_peer_whose_key_it_never_sees() {
    for listed in [true, false] {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let members = if listed { vec![peer] } else { Vec::new() };
        let (told, code) = block_on(async {
            let cell = Builder::new()
                .image(example_images::path("member"))
                .stdout(Output::piped())
                .bootstrap(move |_| {
                    let epochs = Epochs::new(Epoch::default());
                    let club = club(epochs.clone(), members);
                    let signer = KeySigner::new(key, "the club");
                    let signer: signer::Client = capnp_rpc::new_client(signer);
                    let grant = move |_: &SessionContext, lent: invitation::Builder<'_>| {
                        let mut lent = lent;
                        let hook = signer.client.hook.add_ref();
                        lent.reborrow().init_signer().set_as_capability(hook);
                        let hook = club.client.hook.add_ref();
                        lent.init_club().set_as_capability(hook);
                        Ok(())
                    };
                    let admission = Admission::open();
                    Ok(membrane::<invitation::Owned>(epochs, admission, grant))
                })
                .spawn()
                .await
                .unwrap();
            let mut told = String::new();
            let mut stdout = cell.take_stdout().unwrap();
            stdout.read_to_string(&mut told).await.unwrap();
            (told, cell.wait().await.unwrap().code())
        });
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].contains("signer"), "{told}");
        if listed {
            assert_eq!(lines[1], format!("Welcome, {peer}."), "{told}");
            assert!(lines[2].contains("another club"), "{told}");
            assert_eq!(code, 0, "{told}");
        } else {
            assert_eq!((lines.len(), code), (1, 1), "{told}");
        }
    }
}
