use super::table::Call;
use crate::exports::Exports;

/// What a call is made on.
pub(super) struct Behind {
    /// Its depth, where that is the answer of another call.
    pub(super) depth: u32,
    /// Whether it is the peer's own.
    pub(super) reflected: bool,
}

impl Behind {
    pub(super) fn of(call: Option<&mut Call>) -> Self {
        Self {
            depth: call.as_ref().map_or(0, |call| call.depth),
            reflected: call.is_some_and(|call| call.reflected),
        }
    }

    pub(super) fn of_export(id: u32, exports: &Exports) -> Self {
        Self {
            depth: 0,
            reflected: exports.are_reflecting(id),
        }
    }
}
