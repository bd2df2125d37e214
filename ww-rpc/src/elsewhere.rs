use std::rc::Rc;

use capnp::Error;
use capnp::message::Builder;
use capnp_rpc::rpc_capnp::{call, exception, message, return_};

use crate::frame::Frame;
use crate::outbox::Message;

// When a call of ours leads back to us, a peer may call us with
// `sendResultsTo.yourself`, and answer us with `takeFromOtherQuestion`. Cap'n
// Proto's C++ runtime does. capnp-rpc keeps such results, and the question's id
// with them, for as long as the connection lasts; the peer takes the id to be
// free, and ends the connection with its next call. So such a call is not made,
// and ours fails.

/// What a call is answered with whose results are to be kept for a call of ours;
/// `None` where it is any other message.
///
/// # Errors
///
/// Whatever is wrong with the parts that are looked at.
pub(crate) fn refusal(message: message::Reader<'_>) -> Result<Option<Message>, Error> {
    let Ok(message::Call(call)) = message.which() else {
        return Ok(None);
    };
    let call = call?;
    let Ok(call::send_results_to::Yourself(())) = call.get_send_results_to().which() else {
        return Ok(None);
    };
    let mut refusal = Builder::new_default();
    let mut answer = refusal.init_root::<message::Builder<'_>>().init_return();
    answer.set_answer_id(call.get_question_id());
    answer.set_results_sent_elsewhere(());
    Ok(Some(Rc::new(refusal)))
}

/// The failure that stands for such results; `None` where the message is any
/// other.
///
/// # Errors
///
/// Whatever is wrong with the parts that are looked at.
pub(crate) fn missed(message: message::Reader<'_>) -> Result<Option<Frame>, Error> {
    let Ok(message::Return(answer)) = message.which() else {
        return Ok(None);
    };
    let answer = answer?;
    let Ok(return_::TakeFromOtherQuestion(_)) = answer.which() else {
        return Ok(None);
    };
    let mut missed = Builder::new_default();
    let mut failed = missed.init_root::<message::Builder<'_>>().init_return();
    failed.set_answer_id(answer.get_answer_id());
    failed.set_release_param_caps(answer.get_release_param_caps());
    failed.set_no_finish_needed(answer.get_no_finish_needed());
    let mut exception = failed.init_exception();
    exception.set_reason("the call led back here before the peer could know, call again");
    exception.set_type(exception::Type::Unimplemented);
    Ok(Some(Frame::of(&missed)))
}
