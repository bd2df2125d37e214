use std::sync::Arc;

use super::limits::Limit;
use super::shared::{LEVELS, Shared};
use crate::error::Error;

/// A place for one more cell below another, where it counts from now on: until this is
/// dropped, or the cell has ended that it was given to.
pub(crate) struct Berth(Option<Arc<Shared>>);

impl Berth {
    /// Before anything is taken for the child, so that one which may not be takes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] when `parent` has ended, [`Error::Limit`] when that, or one that it
    /// is below, has as many cells below it as it may have, [`Error::TooDeep`].
    pub(crate) fn below(parent: &Arc<Shared>) -> Result<Self, Error> {
        if parent.has_ended() {
            return Err(Error::Ended { why: None });
        }
        if parent.above().count() + 1 == LEVELS {
            return Err(Error::TooDeep { most: LEVELS });
        }
        parent.take(Limit::Children, 1)?;
        Ok(Self(Some(parent.clone())))
    }

    /// The parent. Whoever takes it gives the place back.
    pub(super) fn take(mut self) -> Option<Arc<Shared>> {
        self.0.take()
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        if let Some(parent) = &self.0 {
            parent.give(Limit::Children, 1);
        }
    }
}
