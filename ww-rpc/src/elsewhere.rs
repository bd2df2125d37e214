use std::rc::Rc;

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
/// `None` where it is any other.
pub(crate) fn refusal(call: call::Reader<'_>) -> Option<Message> {
    let Ok(call::send_results_to::Yourself(())) = call.get_send_results_to().which() else {
        return None;
    };
    let mut refusal = Builder::new_default();
    let mut answer = refusal.init_root::<message::Builder<'_>>().init_return();
    answer.set_answer_id(call.get_question_id());
    answer.set_results_sent_elsewhere(());
    Some(Rc::new(refusal))
}

/// The failure that stands for `answer`, which is such results.
pub(crate) fn missed(answer: return_::Reader<'_>) -> Frame {
    let mut missed = Builder::new_default();
    let mut failed = missed.init_root::<message::Builder<'_>>().init_return();
    failed.set_answer_id(answer.get_answer_id());
    failed.set_release_param_caps(answer.get_release_param_caps());
    failed.set_no_finish_needed(answer.get_no_finish_needed());
    let mut exception = failed.init_exception();
    exception.set_reason("the call led back here before the peer could know, call again");
    exception.set_type(exception::Type::Unimplemented);
    Frame::of(&missed)
}
