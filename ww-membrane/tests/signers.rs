//! Grafting with a signer: who is granted what, and what is refused.

mod support;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind};
use futures_lite::future::{block_on, pending, zip};
use libp2p_identity::{Keypair, PeerId};
use support::*;
use ww_membrane::policies::Allow;
use ww_membrane::{Admission, Epochs, KeySigner, SessionContext, membrane};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{executor, host, peer_info};
use ww_rpc::stem_capnp::{membrane as wire, signer};

type Membrane = wire::Client<peer_info::Owned>;

const DOMAIN: &str = "ww.example";

/// A membrane that tells who signed, and how often it built a session.
struct Served {
    epochs: Epochs,
    membrane: Membrane,
    built: Rc<Cell<usize>>,
}

/// Runs `test` against a membrane, locally and over a connection.
fn both<F: Future<Output = ()>>(admission: &Admission, test: impl Fn(Served, &'static str) -> F) {
    for case in ["local", "connected"] {
        let epochs = Epochs::new(epoch(7));
        let built = Rc::new(Cell::new(0));
        let count = built.clone();
        let tell = move |session: &SessionContext, mut ext: peer_info::Builder<'_>| {
            count.set(count.get() + 1);
            if let Some(signer) = session.signer() {
                ext.set_peer_id(&signer.to_bytes());
            }
            Ok(())
        };
        let client = membrane(epochs.clone(), admission.clone(), tell);
        let served = |membrane| Served {
            epochs,
            membrane,
            built,
        };
        match case {
            "local" => block_on(test(served(client), case)),
            _ => connected(client, |client| test(served(client), case)),
        }
    }
}

async fn graft(
    membrane: &Membrane,
    signer: Option<&signer::Client>,
) -> Result<Option<PeerId>, Error> {
    let mut request = membrane.graft_request();
    if let Some(signer) = signer {
        request.get().set_signer(signer.clone());
    }
    let answer = request.send().promise.await?;
    let peer = answer
        .get()?
        .get_session()?
        .get_extension()?
        .get_peer_id()?;
    let peer = (!peer.is_empty()).then(|| PeerId::from_bytes(peer));
    peer.transpose()
        .map_err(|error| Error::failed(error.to_string()))
}

fn keyed(domain: &str) -> (PeerId, signer::Client) {
    let signer = KeySigner::new(Keypair::generate_ed25519(), domain);
    (signer.peer(), capnp_rpc::new_client(signer))
}

async fn sign(signer: &signer::Client, domain: &str, nonce: u64) -> Result<Vec<u8>, Error> {
    let mut request = signer.sign_request();
    request.get().set_domain(domain);
    request.get().set_nonce(nonce);
    let answer = request.send().promise.await?;
    Ok(answer.get()?.get_sig()?.to_vec())
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, reason: &str, case: &str) {
    let error = outcome.expect_err(case);
    assert_eq!(error.kind, ErrorKind::Failed, "{case}: {error}");
    assert!(error.extra.contains(reason), "{case}: {error}");
}

/// A signer that does what it likes.
struct Scripted<F>(F);

impl<F, G> signer::Server for Scripted<F>
where
    F: Fn(String, u64) -> G + 'static,
    G: Future<Output = Result<Vec<u8>, Error>> + 'static,
{
    async fn sign(
        self: Rc<Self>,
        params: signer::SignParams,
        mut results: signer::SignResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let domain = params.get_domain()?.to_string()?;
        let signature = (self.0)(domain, params.get_nonce()).await?;
        results.get().set_sig(&signature);
        Ok(())
    }
}

fn scripted<G>(sign: impl Fn(String, u64) -> G + 'static) -> signer::Client
where
    G: Future<Output = Result<Vec<u8>, Error>> + 'static,
{
    capnp_rpc::new_client(Scripted(sign))
}

#[test]
fn an_open_membrane_asks_no_signer() {
    both(&Admission::open(), |served, case| async move {
        let asked = scripted(|_, _| async { panic!("it was asked") });
        for signer in [None, Some(&asked)] {
            let peer = graft(&served.membrane, signer).await.unwrap();
            assert_eq!(peer, None, "{case}");
        }
    });
}

#[test]
fn who_signs_is_granted_a_session_and_known_to_it() {
    both(&Admission::signed(DOMAIN), |served, case| async move {
        let (peer, signer) = keyed(DOMAIN);
        for _ in 0..2 {
            let granted = graft(&served.membrane, Some(&signer)).await.unwrap();
            assert_eq!(granted, Some(peer), "{case}");
        }
        served.epochs.advance(epoch(8)).unwrap();
        let granted = graft(&served.membrane, Some(&signer)).await.unwrap();
        assert_eq!(granted, Some(peer), "{case}");
    });
}

#[test]
fn a_required_signer_must_be_there_and_must_sign() {
    both(&Admission::signed(DOMAIN), |served, case| async move {
        let outcome = graft(&served.membrane, None).await;
        refused(outcome, "a signer is required", case);
        let (_, elsewhere) = keyed("ww.other");
        let outcome = graft(&served.membrane, Some(&elsewhere)).await;
        refused(
            outcome,
            "signs for ww.other, not for \"ww.example#7\"",
            case,
        );
        let no_signer: signer::Client = peer(&Seen::default()).cast_to();
        let outcome = graft(&served.membrane, Some(&no_signer)).await;
        assert_eq!(
            outcome.unwrap_err().kind,
            ErrorKind::Unimplemented,
            "{case}"
        );
        assert_eq!(served.built.get(), 0, "{case}");
    });
}

#[test]
fn only_listed_peers_are_admitted() {
    let (peer, listed) = keyed(DOMAIN);
    let (other, unlisted) = keyed(DOMAIN);
    let signers = Rc::new((listed, unlisted));
    both(&Admission::peers(DOMAIN, [peer]), |served, case| {
        let signers = signers.clone();
        async move {
            let granted = graft(&served.membrane, Some(&signers.0)).await.unwrap();
            assert_eq!(granted, Some(peer), "{case}");
            let outcome = graft(&served.membrane, Some(&signers.1)).await;
            refused(outcome, &format!("peer {other} is not admitted"), case);
            assert_eq!(served.built.get(), 1, "{case}");
        }
    });
}

#[test]
fn answers_to_other_challenges_are_refused() {
    both(&Admission::signed(DOMAIN), |served, case| async move {
        let (_, honest) = keyed(DOMAIN);
        let (_, elsewhere) = keyed("ww.other");
        let kept = Rc::new(RefCell::new(None));
        let recorder = {
            let (honest, kept) = (honest.clone(), kept.clone());
            scripted(move |domain, nonce| {
                let (honest, kept) = (honest.clone(), kept.clone());
                async move {
                    let signature = sign(&honest, &domain, nonce).await?;
                    *kept.borrow_mut() = Some(signature.clone());
                    Ok(signature)
                }
            })
        };
        graft(&served.membrane, Some(&recorder)).await.unwrap();
        let kept = kept.take().unwrap();

        let replay = {
            let kept = kept.clone();
            scripted(move |_, _| std::future::ready(Ok(kept.clone())))
        };
        let outcome = graft(&served.membrane, Some(&replay)).await;
        refused(outcome, "answers another challenge", case);

        let misled = scripted(move |_, nonce| {
            let elsewhere = elsewhere.clone();
            async move { sign(&elsewhere, "ww.other#7", nonce).await }
        });
        let outcome = graft(&served.membrane, Some(&misled)).await;
        refused(outcome, "another domain than ww.example#7", case);

        let stale = scripted(move |_, nonce| {
            let honest = honest.clone();
            async move { sign(&honest, "ww.example#6", nonce).await }
        });
        let outcome = graft(&served.membrane, Some(&stale)).await;
        refused(outcome, "made in epoch 6, and epoch 7 asked", case);

        for noise in [
            vec![],
            vec![0xff; 40],
            vec![7; 100_000],
            kept[..90].to_vec(),
        ] {
            let noisy = scripted(move |_, _| std::future::ready(Ok(noise.clone())));
            let outcome = graft(&served.membrane, Some(&noisy)).await;
            refused(outcome, "graft refused", case);
        }
        assert_eq!(served.built.get(), 1, "{case}");
        served.epochs.advance(epoch(8)).unwrap();
        // Of what was refused nothing is left that would have to end.
        served.epochs.settled(8).await;
    });
}

#[test]
fn an_epoch_that_advances_meanwhile_ends_the_graft() {
    both(&Admission::signed(DOMAIN), |served, case| async move {
        // One that never answers, and one that answers too late.
        let asked = Rc::new(Cell::new(false));
        let silent = {
            let asked = asked.clone();
            scripted(move |_, _| {
                asked.set(true);
                pending()
            })
        };
        let advance = async {
            until(|| asked.get()).await;
            served.epochs.advance(epoch(8)).unwrap();
        };
        let (outcome, ()) = zip(graft(&served.membrane, Some(&silent)), advance).await;
        assert_stale(outcome, case);

        let (_, honest) = keyed(DOMAIN);
        let epochs = served.epochs.clone();
        let late = scripted(move |domain, nonce| {
            let (honest, epochs) = (honest.clone(), epochs.clone());
            async move {
                let signature = sign(&honest, &domain, nonce).await?;
                epochs.advance(epoch(9)).unwrap();
                Ok(signature)
            }
        });
        assert_stale(graft(&served.membrane, Some(&late)).await, case);
        assert_eq!(served.built.get(), 0, "{case}");
    });
}

#[test]
fn every_kind_of_key_signs() {
    both(&Admission::signed(DOMAIN), |served, case| async move {
        for key in [
            Keypair::generate_ed25519(),
            Keypair::generate_secp256k1(),
            Keypair::generate_ecdsa(),
        ] {
            let kind = key.key_type();
            let signer = KeySigner::new(key, DOMAIN);
            let peer = signer.peer();
            let signer = capnp_rpc::new_client(signer);
            let granted = graft(&served.membrane, Some(&signer)).await.unwrap();
            assert_eq!(granted, Some(peer), "{case}: {kind:?}");
        }
    });
}

#[test]
fn who_signs_selects_what_is_granted() {
    let (one, one_signer) = keyed(DOMAIN);
    let (other, other_signer) = keyed(DOMAIN);
    let all = Allow::new()
        .method(host::Client::id_request)
        .method(host::Client::executor_request)
        .method(executor::Client::echo_request);
    let some = Allow::new().method(host::Client::id_request);
    let granted = BTreeMap::from([(one, all), (other, some)]);
    let peers: Vec<PeerId> = granted.keys().copied().collect();
    let grant = move |session: &SessionContext, mut ext: wetware_session::Builder<'_>| {
        let allow = session.signer().and_then(|peer| granted.get(peer));
        let allow = allow.expect("only listed peers are admitted");
        ext.set_host(ww_membrane::Membrane::policed(allow.clone()).wrap(peer(&Seen::default())));
        Ok(())
    };
    let epochs = Epochs::new(epoch(7));
    let served: wire::Client<wetware_session::Owned> =
        membrane(epochs.clone(), Admission::peers(DOMAIN, peers), grant);
    connected(served, |client| async move {
        let mut hosts = Vec::new();
        for (signer, goes_further) in [(one_signer, true), (other_signer, false)] {
            let mut request = client.graft_request();
            request.get().set_signer(signer);
            let answer = request.send().promise.await.unwrap();
            let session = answer.get().unwrap().get_session().unwrap();
            let host = session.get_extension().unwrap().get_host().unwrap();
            assert_eq!(id(&host).await.unwrap(), b"peer");
            let executor = host.executor_request().send().pipeline.get_executor();
            assert_eq!(echo(&executor, "hi").await.is_ok(), goes_further);
            hosts.push(host);
        }
        epochs.advance(epoch(8)).unwrap();
        for host in &hosts {
            assert_stale(id(host).await, "both layers fall");
        }
    });
}

#[test]
fn a_signer_that_grafts_while_it_signs_is_served() {
    both(&Admission::signed(DOMAIN), |served, case| async move {
        let (peer, honest) = keyed(DOMAIN);
        let inner = Rc::new(Cell::new(None));
        let nesting = {
            let (membrane, honest, inner) =
                (served.membrane.clone(), honest.clone(), inner.clone());
            scripted(move |domain, nonce| {
                let (membrane, honest, inner) = (membrane.clone(), honest.clone(), inner.clone());
                async move {
                    inner.set(graft(&membrane, Some(&honest)).await?);
                    sign(&honest, &domain, nonce).await
                }
            })
        };
        let granted = graft(&served.membrane, Some(&nesting)).await.unwrap();
        assert_eq!((granted, inner.get()), (Some(peer), Some(peer)), "{case}");
        assert_eq!(served.built.get(), 2, "{case}");
    });
}
