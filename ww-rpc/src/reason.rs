use capnp::Error;
use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::{exception, message, resolve, return_};

use crate::frame::Frame;

/// The most bytes that are kept of a reason.
const LONGEST: usize = 1 << 10;

/// The most bytes of a reason why one call failed, which may tell a long story.
const LONGEST_OF_CALL: usize = 1 << 16;

/// The same abort with less of its text, where it is long: capnp-rpc keeps a
/// copy of it for each call and each promise that is open.
///
/// # Errors
///
/// The text is malformed.
pub(crate) fn of_abort(abort: exception::Reader<'_>) -> Result<Option<Frame>, Error> {
    shortened(abort, LONGEST, |root| root.init_abort())
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
    shortened(exception?, LONGEST, |root| {
        let mut shorter = root.init_resolve();
        shorter.set_promise_id(resolve.get_promise_id());
        shorter.init_exception()
    })
}

/// The same, where a call failed: each call that is pipelined on it gets a copy.
///
/// # Errors
///
/// The text is malformed.
pub(crate) fn of_return(
    answer: return_::Reader<'_>,
    exception: exception::Reader<'_>,
) -> Result<Option<Frame>, Error> {
    shortened(exception, LONGEST_OF_CALL, |root| {
        let mut shorter = root.init_return();
        shorter.set_answer_id(answer.get_answer_id());
        shorter.set_release_param_caps(answer.get_release_param_caps());
        shorter.set_no_finish_needed(answer.get_no_finish_needed());
        shorter.init_exception()
    })
}

/// A failure that stands for an answer to a call of ours.
pub(crate) fn failure(answer: return_::Reader<'_>, kind: exception::Type, text: &str) -> Frame {
    Frame::of(&failing(answer, kind, text))
}

/// A failure in the stead of `answer`.
pub(crate) fn failing(
    answer: return_::Reader<'_>,
    kind: exception::Type,
    text: &str,
) -> Builder<HeapAllocator> {
    let mut failure = Builder::new_default();
    let mut failed = failure.init_root::<message::Builder<'_>>().init_return();
    failed.set_answer_id(answer.get_answer_id());
    failed.set_release_param_caps(answer.get_release_param_caps());
    failed.set_no_finish_needed(answer.get_no_finish_needed());
    let mut exception = failed.init_exception();
    exception.set_reason(text);
    exception.set_type(kind);
    failure
}

fn shortened(
    exception: exception::Reader<'_>,
    longest: usize,
    place: impl for<'a> FnOnce(message::Builder<'a>) -> exception::Builder<'a>,
) -> Result<Option<Frame>, Error> {
    let reason = exception.get_reason()?.as_bytes();
    if reason.len() <= longest {
        return Ok(None);
    }
    let start = &reason[..longest];
    let mut shorter = Builder::new_default();
    let mut copy = place(shorter.init_root());
    copy.set_reason(format!("{}…", String::from_utf8_lossy(start)));
    if let Ok(kind) = exception.get_type() {
        copy.set_type(kind);
    }
    Ok(Some(Frame::of(&shorter)))
}
