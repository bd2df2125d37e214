use std::error::Error;

/// An error as it goes over the wire: its text and the text of its causes.
pub(super) fn fault(error: &(dyn Error + 'static)) -> capnp::Error {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let text: Vec<_> = causes.map(ToString::to_string).collect();
    capnp::Error::failed(text.join(": "))
}
