use std::collections::BTreeSet;

use bytes::Bytes;
use libp2p_identity::PeerId;
use ww_loader::ipld::Cid;
use ww_loader::{LoaderExt, Path};

use super::{MAX_LEN, SignatureError, verify};
use crate::{Error, Layer};

/// Whose signature an image needs, and where signatures are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Required {
    pub(crate) signers: BTreeSet<PeerId>,
    pub(crate) given: Vec<Bytes>,
    pub(crate) stores: Vec<Layer>,
}

/// An accepted signer, or why there is none: one line for each signature.
pub(crate) type Verdict = Result<PeerId, Vec<String>>;

impl Required {
    /// Looks for one accepted signature over `cid`.
    ///
    /// # Errors
    ///
    /// No signature was good, and a place where one may be could not be read.
    pub(crate) async fn judge(&self, cid: &Cid) -> Result<Verdict, Error> {
        let mut reasons = Vec::new();
        for (number, signature) in (1..).zip(&self.given) {
            match self.check(signature, cid) {
                Ok(signer) => return Ok(Ok(signer)),
                Err(reason) => reasons.push(format!("signature {number}: {reason}")),
            }
        }
        let mut failed = None;
        for store in &self.stores {
            for signer in &self.signers {
                let path = Path::new(&format!("{cid}/{signer}"))?;
                match store.loader().load(&path, MAX_LEN as u64).await {
                    Ok(signature) => match self.check(&signature, cid) {
                        Ok(signer) => return Ok(Ok(signer)),
                        Err(reason) => {
                            reasons.push(format!("{path} in {}: {reason}", store.name()));
                        }
                    },
                    Err(error) if error.is_not_found() => {
                        reasons.push(format!("{path} is not in {}", store.name()));
                    }
                    Err(error @ ww_loader::Error::TooLarge { .. }) => {
                        reasons.push(format!("{}: {error}", store.name()));
                    }
                    Err(error) => failed = failed.or(Some(store.error(&path, error))),
                }
            }
        }
        if reasons.is_empty() {
            reasons.push("there is no signature".into());
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Err(reasons)),
        }
    }

    fn check(&self, signature: &[u8], cid: &Cid) -> Result<PeerId, SignatureError> {
        let signer = verify(signature, cid)?;
        match self.signers.contains(&signer) {
            true => Ok(signer),
            false => Err(SignatureError::OtherSigner { signer }),
        }
    }
}
