use std::rc::Rc;

use capnp::Error;
use capnp::message::Builder;
use capnp_rpc::rpc_capnp::{call, exception, message, return_};

use crate::frame::Frame;
use crate::outbox::Message;
use crate::reason;

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

/// The failure that stands for `answer`, where that has neither results nor a
/// failure of its own: capnp-rpc would have whoever waits for it wait for ever.
/// Where nobody does, as for a call that was let go of, either comes to the same.
///
/// # Errors
///
/// It is of a kind that nobody knows.
pub(crate) fn missed(answer: return_::Reader<'_>) -> Result<Option<Frame>, Error> {
    let (kind, text) = match answer.which()? {
        return_::Results(_) | return_::Exception(_) => return Ok(None),
        return_::TakeFromOtherQuestion(_) => (
            exception::Type::Unimplemented,
            "the call led back here before the peer could know, call again",
        ),
        return_::Canceled(()) => (
            exception::Type::Failed,
            "the peer took the call for cancelled, which it was not",
        ),
        return_::ResultsSentElsewhere(()) => (
            exception::Type::Failed,
            "the peer sent the results elsewhere, where nobody asked for them",
        ),
        return_::AcceptFromThirdParty(_) => (
            exception::Type::Unimplemented,
            "the peer left the results with a third party, where this vat fetches none",
        ),
    };
    Ok(Some(reason::failure(answer, kind, text)))
}
