use libp2p_identity::PeerId;

/// What can go wrong between a membrane and those who hold it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An epoch was offered that does not follow the current one.
    #[error("epoch {offered} does not follow epoch {current}")]
    Advance {
        /// Sequence number of the current epoch.
        current: u64,
        /// Sequence number that was refused.
        offered: u64,
    },

    /// A session is used after its epoch has passed.
    ///
    /// The text begins with `staleEpoch`, as guests of the field know it. It
    /// crosses the wire with kind `Disconnected`, so that whoever reconnects
    /// on that kind grafts again.
    #[error("staleEpoch: session of epoch {issued} used in epoch {current}")]
    StaleEpoch {
        /// Sequence number of the epoch that the session was issued under.
        issued: u64,
        /// Sequence number of the current epoch.
        current: u64,
    },

    /// A session was asked for with a null signer, where one is required.
    #[error("graft refused: a signer is required, and none was given")]
    NoSigner,

    /// What a signer answered cannot be read.
    #[error("graft refused: the signature is no signed envelope: {reason}")]
    Envelope {
        /// What is wrong with it.
        reason: String,
    },

    /// What a signer answered was signed for something else than a graft.
    #[error("graft refused: the signature was made for another purpose")]
    OtherPurpose,

    /// What a signer answered was signed in another epoch.
    #[error("graft refused: the signature was made in epoch {signed}, and epoch {current} asked")]
    OtherEpoch {
        /// Sequence number of the epoch that was signed.
        signed: u64,
        /// Sequence number of the epoch that asked.
        current: u64,
    },

    /// What a signer answered was signed for another challenge.
    #[error("graft refused: the signature answers another challenge")]
    Replayed,

    /// A signature does not verify.
    #[error(
        "graft refused: the signature was made for another domain than {domain}, \
         or by another key than it says"
    )]
    Unproven {
        /// What should have been signed for.
        domain: String,
    },

    /// A peer proved itself that is not among those who are admitted.
    #[error("graft refused: peer {peer} is not admitted")]
    NotAdmitted {
        /// That peer.
        peer: PeerId,
    },

    /// A signer was asked to sign for what it was not made for.
    #[error("this signer signs for {own}, not for {asked:?}")]
    OtherDomain {
        /// What it was made for.
        own: String,
        /// What it was asked to sign for.
        asked: String,
    },
}

impl From<Error> for capnp::Error {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::StaleEpoch { .. } => Self::disconnected(text),
            _ => Self::failed(text),
        }
    }
}
