use crate::{Call, Direction, Fall};

/// What can be seen of a [`Membrane`](crate::Membrane) at one moment: what is
/// held across it, on what terms, and what was called.
///
/// Plain data, to be printed, compared or sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authority {
    /// Sequence number of the epoch it lasts for; `None` where it lasts until
    /// it is revoked.
    pub epoch: Option<u64>,
    /// What its policy does, in the policy's own words; `None` without one.
    pub policy: Option<String>,
    /// Why it has fallen, once it has.
    pub fall: Option<Fall>,
    /// What is held across it, in the order in which it first crossed.
    pub held: Vec<Held>,
    /// Calls on what is no longer held.
    pub past: Calls,
}

/// A capability that is held across a [`Membrane`](crate::Membrane).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// Its number at this membrane, never given to another one.
    pub id: u64,
    /// [`Outward`](Direction::Outward) for what the outside holds of the
    /// inside, [`Inward`](Direction::Inward) for what the inside holds of the
    /// outside.
    pub direction: Direction,
    /// Calls on it.
    pub calls: Calls,
}

/// Calls, counted by their method.
///
/// A call counts when it is put to the policy; one that finds the membrane
/// fallen does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// In the order in which the methods were first called. At most 32 are
    /// told apart, so that made-up ones cost no memory.
    pub methods: Vec<MethodCalls>,
    /// Calls of all other methods that were passed.
    pub other_passed: u64,
    /// Calls of all other methods that were denied.
    pub other_denied: u64,
}

/// Calls of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodCalls {
    /// The method.
    pub call: Call,
    /// How many were passed, redirected ones among them.
    pub passed: u64,
    /// How many were denied.
    pub denied: u64,
}

impl Held {
    /// Ids of the interfaces that it was called by, ascending. Nothing else is
    /// known of what a capability implements.
    pub fn interfaces(&self) -> Vec<u64> {
        let methods = self.calls.methods.iter();
        let mut ids: Vec<u64> = methods.map(|known| known.call.interface()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl Calls {
    /// How many calls were passed.
    pub fn passed(&self) -> u64 {
        let methods = self.methods.iter().map(|known| known.passed);
        methods.sum::<u64>() + self.other_passed
    }

    /// How many calls were denied.
    pub fn denied(&self) -> u64 {
        let methods = self.methods.iter().map(|known| known.denied);
        methods.sum::<u64>() + self.other_denied
    }
}
