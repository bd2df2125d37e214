use std::fmt;
use std::rc::Rc;

use libp2p_identity::{Keypair, PeerId};
use ww_rpc::stem_capnp::signer;

use crate::challenge::Challenge;

/// A server of `Signer` from `stem.capnp` that has a libp2p key.
///
/// It answers the challenges of membranes with one domain and refuses every
/// other, so that whoever holds it can graft in the key's name there and do
/// nothing else with it. Nobody gets the key from it: a host may hand one to a
/// guest.
///
/// Whoever is handed a signer has its authority while holding it, the membrane
/// that it is grafted with among them: one that is hostile can have a challenge
/// of another membrane with the same domain signed by it. So a domain should
/// name who serves it and no more, and what is lent can be
/// [bounded](crate::policies) like any capability.
///
/// Keys are Ed25519, or of the kinds that the crate's features `ecdsa`, `rsa`
/// (not on WebAssembly) and `secp256k1` name; so it is with those that
/// [`Admission`](crate::Admission) verifies.
///
/// ```
/// use ww_membrane::KeySigner;
/// use ww_rpc::stem_capnp::signer;
///
/// let key = libp2p_identity::Keypair::generate_ed25519();
/// let signer: signer::Client = capnp_rpc::new_client(KeySigner::new(key, "ww.example"));
/// ```
pub struct KeySigner {
    key: Keypair,
    domain: Rc<str>,
}

impl KeySigner {
    /// A signer with `key`, for membranes whose domain is `domain`.
    pub fn new(key: Keypair, domain: impl Into<Rc<str>>) -> Self {
        Self {
            key,
            domain: domain.into(),
        }
    }

    /// The peer in whose name it signs.
    pub fn peer(&self) -> PeerId {
        self.key.public().to_peer_id()
    }
}

impl signer::Server for KeySigner {
    async fn sign(
        self: Rc<Self>,
        params: signer::SignParams,
        mut results: signer::SignResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let domain = params.get_domain()?.to_str()?;
        let challenge = Challenge::asked(&self.domain, domain, params.get_nonce())?;
        let signature = challenge
            .sign(&self.key)
            .map_err(|error| capnp::Error::failed(format!("the key does not sign: {error}")))?;
        results.get().set_sig(&signature);
        Ok(())
    }
}

impl fmt::Debug for KeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key.
        f.debug_struct("KeySigner")
            .field("peer", &self.peer())
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}
