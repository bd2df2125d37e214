use capnp::Error;
use capnp::message::Builder;
use capnp_rpc::rpc_capnp::{exception, message, resolve};

use crate::frame::Frame;

/// The most bytes of a reason that are kept of it.
const LONGEST: usize = 1 << 10;

/// The same abort with less of its text, where it is long: capnp-rpc keeps a
/// copy of it for each call and each promise that is open.
///
/// # Errors
///
/// The text is malformed.
pub(crate) fn of_abort(abort: exception::Reader<'_>) -> Result<Option<Frame>, Error> {
    shortened(abort, |root| root.init_abort())
}

/// The same, where a promise is broken: the text is kept for as long as the
/// promise is held, by parameters of a call for example.
///
/// # Errors
///
/// Whatever is wrong with the parts that are looked at.
pub(crate) fn of_resolve(resolve: resolve::Reader<'_>) -> Result<Option<Frame>, Error> {
    let resolve::Exception(exception) = resolve.which()? else {
        return Ok(None);
    };
    shortened(exception?, |root| {
        let mut shorter = root.init_resolve();
        shorter.set_promise_id(resolve.get_promise_id());
        shorter.init_exception()
    })
}

fn shortened(
    exception: exception::Reader<'_>,
    place: impl for<'a> FnOnce(message::Builder<'a>) -> exception::Builder<'a>,
) -> Result<Option<Frame>, Error> {
    let reason = exception.get_reason()?.as_bytes();
    let Some(start) = reason.get(..LONGEST) else {
        return Ok(None);
    };
    let mut shorter = Builder::new_default();
    let mut copy = place(shorter.init_root());
    copy.set_reason(format!("{}…", String::from_utf8_lossy(start)));
    if let Ok(kind) = exception.get_type() {
        copy.set_type(kind);
    }
    Ok(Some(Frame::of(&shorter)))
}
