use libp2p_identity::PeerId;

use crate::error::with_causes;

/// Why a peer could not be reached or spoken to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// None of the addresses led to the peer.
    #[error("peer {peer} is unreachable: {reason}")]
    Unreachable {
        /// Who was to be reached.
        peer: PeerId,
        /// What failed, address by address.
        reason: String,
    },
    /// No address will ever lead from here to the peer.
    #[error("peer {peer} cannot be reached from here: {reason}")]
    Never {
        /// Who was to be reached.
        peer: PeerId,
        /// Why not.
        reason: &'static str,
    },
    /// A stream was to be opened to a peer without a connection.
    #[error("peer {peer} is not connected")]
    NotConnected {
        /// The peer of that stream.
        peer: PeerId,
    },
    /// The peer does not accept the protocol.
    #[error("peer {peer} does not accept protocol {protocol}")]
    Refused {
        /// The peer of that stream.
        peer: PeerId,
        /// The protocol asked for.
        protocol: String,
    },
    /// The network beneath failed in a way of its own.
    #[error("network failed to reach peer {peer}")]
    Transport {
        /// Who was to be reached or spoken to.
        peer: PeerId,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<Error> for capnp::Error {
    /// The kind is `Failed` where the peer refuses or can never be reached, and otherwise
    /// `Disconnected`: another time may have another answer.
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Refused { .. } | Error::Never { .. } => capnp::ErrorKind::Failed,
            Error::Unreachable { .. } | Error::NotConnected { .. } | Error::Transport { .. } => {
                capnp::ErrorKind::Disconnected
            }
        };
        let extra = with_causes(&error);
        Self { kind, extra }
    }
}
