use std::fmt;
use std::sync::Arc;

use crate::cell::Shared;
use crate::wasi::wit::filesystem::types::ErrorCode;

/// What a cell's scratch directories take, which counts for the cell.
#[derive(Clone)]
pub(in super::super) struct Budget(Arc<Shared>);

impl Budget {
    pub(in super::super) fn new(cell: Arc<Shared>) -> Self {
        Self(cell)
    }

    /// Takes `bytes`, all or none.
    pub(super) fn charge(&self, bytes: u64) -> Result<(), ErrorCode> {
        let refused = |_| ErrorCode::InsufficientSpace;
        self.0.write(bytes).map_err(refused)
    }

    /// Has `held` bytes become `wanted`.
    pub(super) fn change(&self, held: u64, wanted: u64) -> Result<(), ErrorCode> {
        if wanted > held {
            return self.charge(wanted - held);
        }
        self.release(held - wanted);
        Ok(())
    }

    /// Gives back what was charged.
    pub(super) fn release(&self, bytes: u64) {
        self.0.erase(bytes);
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> u64 {
        self.0.usage().scratch
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").field(&self.0).finish()
    }
}
