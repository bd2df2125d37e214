use std::sync::Arc;

use super::limits::Limit;
use super::shared::Shared;
use crate::error::Error;

/// Memory of the host's that one call of the guest's takes and that is there while the
/// call waits. It counts as the guest's until this is dropped, which is before the
/// guest's own memory is freed.
#[derive(Debug)]
pub(crate) struct Lent {
    cell: Arc<Shared>,
    bytes: u64,
}

impl Lent {
    /// # Errors
    ///
    /// [`Error::Limit`] where that is more than the cell may have, or one that it is
    /// below.
    pub(crate) fn new(cell: &Arc<Shared>, bytes: usize) -> Result<Self, Error> {
        cell.grow(bytes)?;
        let (cell, bytes) = (Arc::clone(cell), bytes as u64);
        Ok(Self { cell, bytes })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.cell.give(Limit::Memory, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Limits, Outcome, Sources};

    #[test]
    fn what_is_lent_counts_until_it_is_given_back() {
        let limits = Limits {
            memory: 100,
            ..Limits::default()
        };
        let (_, outcome) = Outcome::new();
        let cell = Arc::new(Shared::new(
            None,
            Sources::default(),
            false,
            &limits,
            outcome,
        ));
        let lent = Lent::new(&cell, 60).expect("there is room");
        let more = Lent::new(&cell, 60);
        assert!(matches!(more, Err(Error::Limit { .. })), "{more:?}");
        assert_eq!(cell.usage().memory, 60);
        drop(lent);
        assert_eq!(cell.usage().memory, 0);
        assert!(Lent::new(&cell, 100).is_ok());
    }
}
