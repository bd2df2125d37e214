use capnp::Error;
use capnp::message::Builder;
use capnp_rpc::rpc_capnp::{exception, message, resolve};

use crate::frame::Frame;

/// The most bytes of a reason that are kept of it.
const LONGEST: usize = 1 << 10;

/// The same message with less of its text, where it is the peer's reason for
/// an abort or for breaking a promise, and a long one; `None` where it can stay
/// as it is.
///
/// capnp-rpc keeps a copy of the former for each call and each promise that is
/// open, and of the latter for as long as the promise is held, by parameters
/// of a call for example.
///
/// # Errors
///
/// Whatever is wrong with the parts that are looked at.
pub(crate) fn shortened(message: message::Reader<'_>) -> Result<Option<Frame>, Error> {
    let (promise, exception) = match message.which() {
        Ok(message::Abort(abort)) => (None, abort?),
        Ok(message::Resolve(resolve)) => {
            let resolve = resolve?;
            match resolve.which()? {
                resolve::Exception(exception) => (Some(resolve.get_promise_id()), exception?),
                resolve::Cap(_) => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let reason = exception.get_reason()?.as_bytes();
    let Some(start) = reason.get(..LONGEST) else {
        return Ok(None);
    };
    let mut shorter = Builder::new_default();
    let root: message::Builder<'_> = shorter.init_root();
    let mut copy: exception::Builder<'_> = match promise {
        None => root.init_abort(),
        Some(promise) => {
            let mut resolve = root.init_resolve();
            resolve.set_promise_id(promise);
            resolve.init_exception()
        }
    };
    copy.set_reason(format!("{}…", String::from_utf8_lossy(start)));
    if let Ok(kind) = exception.get_type() {
        copy.set_type(kind);
    }
    Ok(Some(Frame::of(&shorter)))
}
