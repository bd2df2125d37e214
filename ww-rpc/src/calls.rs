use std::cell::RefCell;
use std::sync::Arc;

use capnp::message::{Builder, HeapAllocator};
use capnp_rpc::rpc_capnp::{bootstrap, call, message, payload, resolve, return_};

use self::table::Table;
use self::words::{excess, most_queued, taken, unread};
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

    /// Takes note of results, in a message of `words` words, and says why they are too
    /// much to receive, if they are.
    pub(crate) fn answered(
        &self,
        results: payload::Reader<'_>,
        words: usize,
    ) -> Result<Option<String>, Refusal> {
        let State { table, exports, .. } = &mut *self.state.borrow_mut();
        table.answered(results, words, exports, &self.limits, &self.traffic)
    }

    /// Whether somebody here waits for the answer of a call of our own.
    pub(crate) fn are_awaiting(&self, question: u32) -> bool {
        self.state.borrow().questions.are_awaiting(question)
    }

    /// Takes note that the peer has returned from a call of our own, with so many words, or
    /// none that it keeps until it hears that we have finished with them; and says whether
    /// it is to be told that.
    pub(crate) fn returned(&self, question: u32, kept: Option<usize>) -> bool {
        self.state.borrow_mut().questions.returned(question, kept)
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

    /// Takes note of a message of `words` words to the peer, and says what becomes of it:
    /// with it, messages that the peer has not read would take up `queued` words.
    ///
    /// # Errors
    ///
    /// `Overloaded` where the peer holds more than the limits allow, or owes too many
    /// answers.
    pub(crate) fn sent(
        &self,
        message: &Builder<HeapAllocator>,
        words: usize,
        queued: usize,
    ) -> Result<Fate, Refusal> {
        let segments = message.get_segments_for_output();
        let plain = segments.first().and_then(|first| Plain::of(first));
        let limits = &self.limits;
        let state = &mut *self.state.borrow_mut();
        let fits = words <= limits.message_words;
        match plain {
            Some(Plain::Finish { question }) => {
                return Ok(match state.questions.finish(question, limits) {
                    true => Fate::Sent,
                    false => Fate::Kept,
                });
            }
            Some(Plain::Call { question, .. })
                if fits
                    && queued <= most_queued(limits)
                    && !state.questions.are_refused()
                    && state.questions.have_room(words, limits) =>
            {
                self.traffic.called();
                state.questions.ask(question, words, limits)?;
                return Ok(Fate::Sent);
            }
            Some(Plain::Results {
                question,
                no_finish_needed,
            }) if fits => {
                state.table.answer(question, no_finish_needed, words);
                return Ok(Fate::Sent);
            }
            _ => {}
        }
        let State {
            promises,
            exports,
            questions,
            ..
        } = &mut *state;
        let message: message::Reader<'_> = message.get_root_as_reader()?;
        match message.which() {
            Ok(message::Call(call)) => {
                return state.ask(call?, words, queued, limits, &self.traffic);
            }
            Ok(message::Return(answer)) => return state.answer(answer?, words, limits),
            Ok(message::Bootstrap(bootstrap)) => {
                questions.ask(bootstrap?.get_question_id(), words, limits)?;
            }
            Ok(message::Resolve(resolve)) => exports.resolve(resolve?)?,
            Ok(message::Release(release)) => promises.release(release?.get_id()),
            Ok(message::Disembargo(disembargo)) => exports.embargo(disembargo?)?,
            _ => {}
        }
        Ok(Fate::Sent)
    }

    /// Takes note that a call's parameters have been dropped.
    pub(crate) fn release(&self, held: &Held) {
        self.state.borrow_mut().table.release(held);
    }
}

impl State {
    /// Takes note of a call to the peer: not of one for which the peer would end the
    /// connection, or we, nor of those on its answer, which are refused.
    fn ask(
        &mut self,
        call: call::Reader<'_>,
        words: usize,
        queued: usize,
        limits: &Limits,
        traffic: &Traffic,
    ) -> Result<Fate, Refusal> {
        let id = call.get_question_id();
        let promised = call.get_params()?.get_cap_table()?;
        let taken = taken(words, promised.len());
        let excess = excess("call", words, promised.len(), limits.call_words, limits);
        let refused = if excess.is_some() {
            excess
        } else if self.questions.were_refused(call.get_target()?)? {
            Some("call is on the answer of one that is not sent".into())
        } else if !self.questions.have_room(taken, limits) {
            Some(self.questions.excess(taken, limits))
        } else if queued > most_queued(limits) {
            Some(unread(queued, limits))
        } else {
            match self.exports.send(promised) {
                Ok(()) => None,
                Err(Refusal::Exceeded(_, text)) => Some(text),
                Err(broken) => return Err(broken),
            }
        };
        self.questions.ask(id, taken, limits)?;
        if let Some(text) = refused {
            self.questions.refuse(id);
            return Ok(Fate::refused(call, &text)?);
        }
        traffic.called();
        if self.table.reflects_answers {
            self.exports.reflect_answers(promised);
        }
        Ok(Fate::Sent)
    }

    /// Takes note of an answer to the peer, in whose stead a failure is sent where the
    /// peer would end the connection.
    fn answer(
        &mut self,
        answer: return_::Reader<'_>,
        words: usize,
        limits: &Limits,
    ) -> Result<Fate, Refusal> {
        let id = answer.get_answer_id();
        self.table.answer(id, answer.get_no_finish_needed(), words);
        let given = match answer.which() {
            Ok(return_::Results(results)) => Some(results?.get_cap_table()?),
            _ => None,
        };
        // Also where the peer does not hear of them: until it has finished with the answer.
        if let Some(given) = given {
            self.exports.send(given)?;
        }
        let count = given.map_or(0, |given| given.len());
        if let Some(text) = excess("answer", words, count, limits.message_words, limits) {
            self.table.withhold(id);
            return Ok(Fate::replaced(answer, &text));
        }
        Ok(Fate::Sent)
    }
}
