use std::rc::Rc;

use capnp::Error;
use capnp::message::Builder;
use capnp_rpc::rpc_capnp::{call, exception, message, return_};

use crate::frame::Frame;
use crate::outbox::Message;
use crate::{reason, releases};

/// What becomes of a message to the peer.
pub(crate) enum Fate {
    Sent,
    /// The peer need not know, or not yet.
    Kept,
    /// This is sent in its stead.
    Replaced(Message),
    /// It is a call that is not sent, and this is heard as if the peer had answered so.
    Refused(Vec<Frame>),
}

impl Fate {
    /// That of a call which fails unsent.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the parts that are looked at.
    pub(crate) fn refused(call: call::Reader<'_>, text: &str) -> Result<Self, Error> {
        let mut failure = Builder::new_default();
        let mut failed = failure.init_root::<message::Builder<'_>>().init_return();
        failed.set_answer_id(call.get_question_id());
        // capnp-rpc waits for each to be released by itself.
        failed.set_release_param_caps(false);
        failed.set_no_finish_needed(true);
        let mut exception = failed.init_exception();
        exception.set_reason(text);
        exception.set_type(exception::Type::Overloaded);
        let mut heard = releases::of(call.get_params()?.get_cap_table()?)?;
        heard.push(failure);
        Ok(Self::Refused(heard.iter().map(Frame::of).collect()))
    }

    /// That of an answer of which only a failure is sent.
    pub(crate) fn replaced(answer: return_::Reader<'_>, text: &str) -> Self {
        let failure = reason::failing(answer, exception::Type::Overloaded, text);
        Self::Replaced(Rc::new(failure))
    }
}
