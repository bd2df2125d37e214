use std::collections::BTreeSet;
use std::rc::Rc;

use libp2p_identity::PeerId;
use ww_rpc::stem_capnp::signer;

use crate::challenge::Challenge;
use crate::{Epoch, Error};

/// Whom a membrane grants a session.
#[derive(Clone, Debug)]
pub struct Admission {
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Open,
    Signed {
        domain: Rc<str>,
        /// `None` where it may be anybody who proves who it is.
        peers: Option<Rc<BTreeSet<PeerId>>>,
    },
}

impl Admission {
    /// Grants a session to whoever asks. The signer may be null and is not
    /// asked for anything.
    pub fn open() -> Self {
        Self { rule: Rule::Open }
    }

    /// Grants a session to whoever signs a challenge of this membrane's, made
    /// for `domain`. The extension's builder learns
    /// [who it was](crate::SessionContext::signer).
    pub fn signed(domain: impl Into<Rc<str>>) -> Self {
        Self {
            rule: Rule::Signed {
                domain: domain.into(),
                peers: None,
            },
        }
    }

    /// Grants a session to these peers, once they have signed. What each of
    /// them is granted, the extension's builder selects.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    /// use ww_membrane::policies::Allow;
    /// use ww_membrane::{Admission, Epoch, Epochs, Membrane, SessionContext, membrane};
    /// use ww_rpc::membrane_capnp::wetware_session;
    /// use ww_rpc::peer_capnp::host;
    /// use ww_rpc::stem_capnp;
    /// # use libp2p_identity::Keypair;
    /// # struct Peer;
    /// # impl host::Server for Peer {}
    /// # let own: host::Client = capnp_rpc::new_client(Peer);
    /// # let peer = || Keypair::generate_ed25519().public().to_peer_id();
    /// # let (alice, bob) = (peer(), peer());
    ///
    /// let looks = Allow::new().method(host::Client::id_request);
    /// let connects = looks.clone().method(host::Client::connect_request);
    /// let granted = BTreeMap::from([(alice, connects), (bob, looks)]);
    /// let peers: Vec<_> = granted.keys().copied().collect();
    /// let grant = move |session: &SessionContext, mut ext: wetware_session::Builder<'_>| {
    ///     if let Some(allow) = session.signer().and_then(|peer| granted.get(peer)) {
    ///         ext.set_host(Membrane::policed(allow.clone()).wrap(own.clone()));
    ///     }
    ///     Ok(())
    /// };
    /// let client: stem_capnp::membrane::Client<wetware_session::Owned> = membrane(
    ///     Epochs::new(Epoch::default()),
    ///     Admission::peers("ww.example", peers),
    ///     grant,
    /// );
    /// ```
    pub fn peers(domain: impl Into<Rc<str>>, peers: impl IntoIterator<Item = PeerId>) -> Self {
        Self {
            rule: Rule::Signed {
                domain: domain.into(),
                peers: Some(Rc::new(peers.into_iter().collect())),
            },
        }
    }

    /// The peer that proved itself, where the rule asks for it. `signer` is
    /// asked once, about `epoch`.
    pub(crate) async fn admit(
        &self,
        signer: Option<signer::Client>,
        epoch: &Epoch,
    ) -> Result<Option<PeerId>, capnp::Error> {
        let Rule::Signed { domain, peers } = &self.rule else {
            return Ok(None);
        };
        let signer = signer.ok_or(Error::NoSigner)?;
        let challenge = Challenge::new(domain, epoch.seq)?;
        let mut request = signer.sign_request();
        request.get().set_domain(challenge.domain());
        request.get().set_nonce(challenge.nonce());
        let answer = request.send().promise.await?;
        let peer = challenge.verify(answer.get()?.get_sig()?)?;
        match peers {
            Some(peers) if !peers.contains(&peer) => Err(Error::NotAdmitted { peer }.into()),
            _ => Ok(Some(peer)),
        }
    }
}
