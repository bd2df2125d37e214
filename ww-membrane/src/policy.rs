/// Whom a membrane grants a session.
#[derive(Clone, Debug)]
pub struct Policy {
    _rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Open,
}

impl Policy {
    /// Grants a session to whoever asks. The signer may be null and is not
    /// asked for anything.
    pub fn open() -> Self {
        Self { _rule: Rule::Open }
    }
}
