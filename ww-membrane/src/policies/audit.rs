use std::fmt;

use crate::{Call, Policy, Verdict};

/// Tells of each call that comes to it, and passes it. In front of another
/// policy it tells of what that denies too, behind it only of what passed.
pub struct Audit<F> {
    note: F,
}

impl<F: Fn(&Call) + 'static> Audit<F> {
    /// Calls `note` for each call, in either direction. That must not block.
    pub fn new(note: F) -> Self {
        Self { note }
    }
}

impl<F: Fn(&Call) + 'static> Policy for Audit<F> {
    fn inbound(&self, call: &Call) -> Verdict {
        (self.note)(call);
        Verdict::pass()
    }

    fn outbound(&self, call: &Call) -> Verdict {
        self.inbound(call)
    }

    fn describe(&self) -> String {
        "audited".to_owned()
    }
}

impl<F> fmt::Debug for Audit<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit")
    }
}
