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

    /// Grants a session to these peers, once they have signed.
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
