use std::error::Error;

use crate::error::with_causes;

/// An error as it goes over the wire: its text and the text of its causes.
pub(super) fn fault(error: &(dyn Error + 'static)) -> capnp::Error {
    capnp::Error::failed(with_causes(error))
}
