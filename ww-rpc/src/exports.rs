use std::collections::BTreeSet;

use capnp::Error;

/// What the peer holds of ours, as far as the ids of it tell: none is given away
/// while a lower one is free, so one tells how many there were at a time.
pub(crate) struct Exports {
    /// The most capabilities that it may hold, and embargoes.
    limit: usize,
    /// Promises that have turned out to be the peer's own.
    reflecting: BTreeSet<u32>,
}

impl Exports {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            reflecting: BTreeSet::new(),
        }
    }

    /// Takes note of a capability that it does not hold yet.
    ///
    /// # Errors
    ///
    /// `Overloaded` where it holds more than the limit.
    pub(crate) fn send(&mut self, id: u32) -> Result<(), Error> {
        // The id was free again.
        self.reflecting.remove(&id);
        self.fits(id, "holds", "capabilities")
    }

    /// Takes note that a promise has turned out to be the peer's own.
    pub(crate) fn reflect(&mut self, id: u32) {
        self.reflecting.insert(id);
    }

    /// Takes note of an embargo, which lasts until the peer has sent it back.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than the limit.
    pub(crate) fn embargo(&self, id: u32) -> Result<(), Error> {
        self.fits(id, "has not sent back", "embargoes")
    }

    /// Whether calls on the export `id` go to the peer that makes them.
    pub(crate) fn are_reflecting(&self, id: u32) -> bool {
        self.reflecting.contains(&id)
    }

    fn fits(&self, id: u32, has: &str, what: &str) -> Result<(), Error> {
        if (id as usize) < self.limit {
            return Ok(());
        }
        Err(Error::overloaded(format!(
            "peer {has} {} {what}, more than the limit of {}",
            u64::from(id) + 1,
            self.limit
        )))
    }
}
