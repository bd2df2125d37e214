use std::cell::RefCell;
use std::sync::Arc;

use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::{bootstrap, call, message, payload, resolve, return_};

use self::table::Table;
use crate::exports::Exports;
use crate::fate::Fate;
use crate::frame::Frame;
use crate::plain::{Plain, Target};
use crate::promises::Promises;
use crate::questions::Questions;
use crate::refusal::Refusal;
use crate::{Limits, Traffic};

pub(crate) use self::table::Held;

mod behind;
mod table;
mod words;

/// What the peer has us keep, by the messages that go either way.
pub(crate) struct Calls {
    limits: Limits,
    traffic: Arc<Traffic>,
    state: RefCell<State>,
}

struct State {
    table: Table,
    promises: Promises,
    exports: Exports,
    questions: Questions,
}

impl Calls {
    pub(crate) fn new(limits: Limits, traffic: Arc<Traffic>) -> Self {
        Self {
            limits,
            traffic,
            state: RefCell::new(State {
                table: Table::default(),
                promises: Promises::default(),
                exports: Exports::new(limits.exports),
                questions: Questions::default(),
            }),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes note of a call of the peer's, in a message of `words` words, and of
    /// the parameters that it holds.
    ///
    /// # Errors
    ///
    /// Like all below that hear of what the peer says: `Overloaded` where it asks
    /// for more than the limits allow, and whatever is wrong with the parts that
    /// are looked at.
    pub(crate) fn call(
        &self,
        call: call::Reader<'_>,
        words: usize,
    ) -> Result<Option<Held>, Refusal> {
        self.traffic.was_called();
        let State { table, exports, .. } = &mut *self.state.borrow_mut();
        table.call(call, words, exports, &self.limits, &self.traffic)
    }

    /// Takes note of a [`Plain::Call`] of the peer's, as [`call`](Self::call) does.
    pub(crate) fn plain_call(
        &self,
        question: u32,
        target: Target,
        words: usize,
    ) -> Result<Option<Held>, Refusal> {
        self.traffic.was_called();
        let State { table, exports, .. } = &mut *self.state.borrow_mut();
        table.plain_call(question, target, words, exports, &self.limits)
    }

    /// Takes note of results, in a message of `words` words.
    pub(crate) fn answered(
        &self,
        results: payload::Reader<'_>,
        words: usize,
    ) -> Result<(), Refusal> {
        let State { table, exports, .. } = &mut *self.state.borrow_mut();
        table.answered(results, words, exports, &self.limits, &self.traffic)
    }

    /// Whether somebody here waits for the answer of a call of our own.
    pub(crate) fn are_awaiting(&self, question: u32) -> bool {
        self.state.borrow().questions.are_awaiting(question)
    }

    /// Takes note that the peer has returned from a call of our own, and says
    /// whether it is to be told that we have finished with it.
    pub(crate) fn returned(&self, question: u32) -> bool {
        self.state.borrow_mut().questions.returned(question)
    }

    /// Takes note that the peer has finished with a call, and tells what capnp-rpc is to
    /// hear instead, if anything: of the capabilities that the peer has not heard of, it
    /// would let go by itself alone.
    pub(crate) fn finish(&self, question: u32) -> Result<Option<Frame>, Refusal> {
        let table = &mut self.state.borrow_mut().table;
        let unheard = table.finish(question, &self.limits)?;
        let releasing = || {
            let mut message = Builder::new_default();
            let mut finish = message.init_root::<message::Builder<'_>>().init_finish();
            finish.set_question_id(question);
            finish.set_release_result_caps(true);
            Frame::of(&message)
        };
        Ok(unheard.then(releasing))
    }

    /// Takes note of what a promise of the peer's resolves to.
    pub(crate) fn resolve(&self, resolve: resolve::Reader<'_>) -> Result<(), Refusal> {
        let State {
            table,
            promises,
            exports,
            ..
        } = &mut *self.state.borrow_mut();
        promises.resolve(resolve, self.limits.resolutions)?;
        table.resolve(resolve, exports, &self.limits)
    }

    /// Takes note that the peer asks for what we bootstrap.
    pub(crate) fn bootstrap(&self, bootstrap: bootstrap::Reader<'_>) -> Result<(), Refusal> {
        let table = &mut self.state.borrow_mut().table;
        table.bootstrap(bootstrap.get_question_id(), &self.limits)
    }

    /// Takes note of a message of `words` words to the peer, and says what becomes of
    /// it.
    ///
    /// # Errors
    ///
    /// `Overloaded` where it exports more than the limits allow, or the peer owes
    /// too many answers.
    pub(crate) fn sent(
        &self,
        message: &Builder<HeapAllocator>,
        words: usize,
    ) -> Result<Fate, Refusal> {
        let segments = message.get_segments_for_output();
        let plain = segments.first().and_then(|first| Plain::of(first));
        if let Some(Plain::Finish { question }) = plain {
            let questions = &mut self.state.borrow_mut().questions;
            return Ok(match questions.finish(question, &self.limits) {
                true => Fate::Sent,
                false => Fate::Kept,
            });
        }
        let refuses =
            words > self.limits.message_words || self.state.borrow().questions.are_refused();
        if refuses && let Some(fate) = self.refuse(message, words)? {
            return Ok(fate);
        }
        self.said(message, plain, words).map(|()| Fate::Sent)
    }

    /// What becomes of a call or an answer that is too large, for which the peer would
    /// end the connection, and of calls on the answer of such a call; none, where it is
    /// another message.
    fn refuse(
        &self,
        message: &Builder<HeapAllocator>,
        words: usize,
    ) -> Result<Option<Fate>, Refusal> {
        let State {
            table, questions, ..
        } = &mut *self.state.borrow_mut();
        let limit = self.limits.message_words;
        let too_large = |what| {
            format!("{what} has {words} words, more than the limit of {limit}, and is not sent")
        };
        let message: message::Reader<'_> = message.get_root_as_reader()?;
        match message.which() {
            Ok(message::Call(call)) => {
                let call = call?;
                let text = if words > limit {
                    too_large("call")
                } else if questions.were_refused(call.get_target()?)? {
                    "call is on the answer of one that is too large to be sent".into()
                } else {
                    return Ok(None);
                };
                let id = call.get_question_id();
                questions.ask(id, &self.limits)?;
                questions.refuse(id);
                Ok(Some(Fate::refused(call, &text)?))
            }
            Ok(message::Return(answer)) if words > limit => {
                let answer = answer?;
                let (id, closed) = (answer.get_answer_id(), answer.get_no_finish_needed());
                table.answer(id, closed, words);
                table.withhold(id);
                Ok(Some(Fate::replaced(answer, &too_large("answer"))))
            }
            _ => Ok(None),
        }
    }

    fn said(
        &self,
        message: &Builder<HeapAllocator>,
        plain: Option<Plain>,
        words: usize,
    ) -> Result<(), Refusal> {
        let State {
            table,
            promises,
            exports,
            questions,
        } = &mut *self.state.borrow_mut();
        let limits = &self.limits;
        match plain {
            Some(Plain::Call { question, .. }) => {
                self.traffic.called();
                return questions.ask(question, limits);
            }
            Some(Plain::Results {
                question,
                no_finish_needed,
            }) => {
                table.answer(question, no_finish_needed, words);
                return Ok(());
            }
            _ => {}
        }
        let message: message::Reader<'_> = message.get_root_as_reader()?;
        match message.which() {
            Ok(message::Return(answer)) => {
                let answer = answer?;
                table.answer(answer.get_answer_id(), answer.get_no_finish_needed(), words);
                match answer.which() {
                    Ok(return_::Results(results)) => exports.send(results?.get_cap_table()?),
                    _ => Ok(()),
                }
            }
            Ok(message::Call(call)) => {
                self.traffic.called();
                let call = call?;
                questions.ask(call.get_question_id(), limits)?;
                let promised = call.get_params()?.get_cap_table()?;
                if table.reflects_answers {
                    exports.reflect_answers(promised);
                }
                exports.send(promised)
            }
            Ok(message::Bootstrap(bootstrap)) => {
                questions.ask(bootstrap?.get_question_id(), limits)
            }
            Ok(message::Resolve(resolve)) => exports.resolve(resolve?),
            Ok(message::Release(release)) => {
                promises.release(release?.get_id());
                Ok(())
            }
            Ok(message::Disembargo(disembargo)) => exports.embargo(disembargo?),
            _ => Ok(()),
        }
    }

    /// Takes note that a call's parameters have been dropped.
    pub(crate) fn release(&self, held: &Held) {
        self.state.borrow_mut().table.release(held);
    }
}
