use libp2p_identity::PeerId;

/// Whom a membrane grants a session.
#[derive(Clone, Debug)]
pub struct Policy {
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Open,
}

impl Policy {
    /// Grants a session to whoever asks. The signer may be null and is not
    /// asked for anything.
    pub fn open() -> Self {
        Self { rule: Rule::Open }
    }
    /// The peer that proved itself, where the rule asks for it.
    pub(crate) fn admit(&self) -> Option<PeerId> {
        match self.rule {
            Rule::Open => None,
        }
    }
}
