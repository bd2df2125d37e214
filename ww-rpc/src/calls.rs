use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use capnp::{Error, struct_list};
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, message, message_target, promised_answer, resolve, return_,
};

use crate::promises::Promises;
use crate::{Limits, Traffic};

/// The calls that the peer has in flight, and what they take up.
pub(crate) struct Calls {
    limits: Limits,
    traffic: Arc<Traffic>,
    state: RefCell<State>,
    promises: RefCell<Promises>,
}

#[derive(Default)]
struct State {
    /// By question id, until the peer has finished with the answer. The peer
    /// chooses the ids, and no choice makes a tree slow.
    open: BTreeMap<u32, Call>,
    /// Calls that the peer has finished with while their parameters are held:
    /// others are pipelined on them, so they run on.
    held: usize,
    /// Calls that the peer has finished with before they were answered.
    unanswered: usize,
    /// Words of all parameters that are held, and of answers that are open.
    words: usize,
    /// Tells calls apart that have the same id one after the other.
    serial: u64,
}

struct Call {
    serial: u64,
    depth: u32,
    /// Whether the parameters are still held.
    held: bool,
    answered: bool,
    /// Words of the answer, while it is kept for calls that pipeline on it.
    answer_words: usize,
}

/// What one call's parameters take up, to be given back with
/// [`release`](Calls::release).
pub(crate) struct Held {
    id: u32,
    serial: u64,
    words: usize,
}

impl Calls {
    pub(crate) fn new(limits: Limits, traffic: Arc<Traffic>) -> Self {
        Self {
            limits,
            traffic,
            state: RefCell::default(),
            promises: RefCell::default(),
        }
    }

    /// Takes note of a message of `words` words from the peer, and of the
    /// parameters that it holds where it is a call.
    ///
    /// # Errors
    ///
    /// `Overloaded` where it asks for more than the limits allow, and whatever
    /// is wrong with the parts that are looked at.
    pub(crate) fn admit(
        &self,
        message: message::Reader<'_>,
        words: usize,
    ) -> Result<Option<Held>, Error> {
        let state = &mut *self.state.borrow_mut();
        match message.which() {
            Ok(message::Bootstrap(bootstrap)) => {
                let id = bootstrap?.get_question_id();
                state.open(id, 0, &self.limits)?;
                Ok(None)
            }
            Ok(message::Call(call)) => {
                self.traffic.was_called();
                let call = call?;
                let depth = state.depth(call)?;
                state.hold(call.get_question_id(), depth, words, &self.limits)
            }
            Ok(message::Finish(finish)) => {
                state.close(finish?.get_question_id());
                if state.unanswered > self.limits.cancelled_calls {
                    return Err(Error::overloaded(format!(
                        "peer has cancelled {} calls, more than the limit of {}",
                        state.unanswered, self.limits.cancelled_calls
                    )));
                }
                Ok(None)
            }
            Ok(message::Resolve(resolve)) => {
                let limit = self.limits.resolutions;
                self.promises.borrow_mut().resolve(resolve?, limit)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Takes note of a message of `words` words to the peer.
    ///
    /// # Errors
    ///
    /// `Overloaded` where it exports more than the limits allow.
    pub(crate) fn sent(&self, message: message::Reader<'_>, words: usize) -> Result<(), Error> {
        match message.which() {
            Ok(message::Return(answer)) => {
                let answer = answer?;
                self.state.borrow_mut().answer(answer, words);
                match answer.which() {
                    Ok(return_::Results(results)) => self.export(results?.get_cap_table()?),
                    _ => Ok(()),
                }
            }
            Ok(message::Call(call)) => {
                self.traffic.called();
                self.export(call?.get_params()?.get_cap_table()?)
            }
            Ok(message::Resolve(resolve)) => match resolve?.which() {
                Ok(resolve::Cap(descriptor)) => self.export_one(descriptor?),
                _ => Ok(()),
            },
            Ok(message::Release(release)) => {
                self.promises.borrow_mut().release(release?.get_id());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn export(&self, table: struct_list::Reader<'_, cap_descriptor::Owned>) -> Result<(), Error> {
        table.iter().try_for_each(|entry| self.export_one(entry))
    }

    /// capnp-rpc gives an export the lowest id that is free, so an id tells how
    /// many there are at least.
    fn export_one(&self, descriptor: cap_descriptor::Reader<'_>) -> Result<(), Error> {
        match descriptor.which() {
            Ok(cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id))
                if id as usize >= self.limits.exports =>
            {
                Err(Error::overloaded(format!(
                    "peer holds {} capabilities, more than the limit of {}",
                    u64::from(id) + 1,
                    self.limits.exports
                )))
            }
            _ => Ok(()),
        }
    }

    /// Takes note that a call's parameters have been dropped.
    pub(crate) fn release(&self, held: &Held) {
        let state = &mut *self.state.borrow_mut();
        state.words -= held.words;
        match state.open.get_mut(&held.id) {
            Some(call) if call.serial == held.serial => call.held = false,
            _ => state.held -= 1,
        }
    }
}

impl State {
    /// How many calls, this one included, wait for one another at the most.
    fn depth(&self, call: call::Reader<'_>) -> Result<u32, Error> {
        let mut behind = match call.get_target()?.which()? {
            message_target::PromisedAnswer(answer) => self.depth_of(answer?),
            message_target::ImportedCap(_) => 0,
        };
        for descriptor in call.get_params()?.get_cap_table()? {
            if let cap_descriptor::ReceiverAnswer(answer) = descriptor.which()? {
                behind = behind.max(self.depth_of(answer?));
            }
        }
        Ok(behind.saturating_add(1))
    }

    /// Nothing waits behind an answer that is not open: it is a broken one.
    fn depth_of(&self, answer: promised_answer::Reader<'_>) -> u32 {
        let call = self.open.get(&answer.get_question_id());
        call.map_or(0, |call| call.depth)
    }

    fn hold(
        &mut self,
        id: u32,
        depth: u32,
        words: usize,
        limits: &Limits,
    ) -> Result<Option<Held>, Error> {
        if depth > limits.pipeline_depth {
            return Err(Error::overloaded(format!(
                "peer pipelined {depth} calls on one another, more than the limit of {}",
                limits.pipeline_depth
            )));
        }
        let sum = self.words.saturating_add(words);
        if sum > limits.call_words {
            return Err(Error::overloaded(format!(
                "calls of the peer's in flight have {sum} words, more than the limit of {}",
                limits.call_words
            )));
        }
        let serial = self.open(id, depth, limits)?;
        let Some(serial) = serial else {
            return Ok(None);
        };
        self.words = sum;
        Ok(Some(Held { id, serial, words }))
    }

    /// The new call's serial number; none where its id is taken, which
    /// capnp-rpc refuses.
    fn open(&mut self, id: u32, depth: u32, limits: &Limits) -> Result<Option<u64>, Error> {
        let calls = self.open.len() + self.held;
        if calls >= limits.calls {
            return Err(Error::overloaded(format!(
                "peer has {} calls in flight, more than the limit of {}",
                calls + 1,
                limits.calls
            )));
        }
        let Entry::Vacant(entry) = self.open.entry(id) else {
            return Ok(None);
        };
        self.serial += 1;
        entry.insert(Call {
            serial: self.serial,
            depth,
            held: depth > 0,
            answered: false,
            answer_words: 0,
        });
        Ok(Some(self.serial))
    }

    fn close(&mut self, id: u32) {
        if let Some(call) = self.open.remove(&id) {
            self.words -= call.answer_words;
            self.held += usize::from(call.held);
            self.unanswered += usize::from(!call.answered);
        }
    }

    fn answer(&mut self, answer: return_::Reader<'_>, words: usize) {
        let id = answer.get_answer_id();
        let Some(call) = self.open.get_mut(&id) else {
            self.unanswered = self.unanswered.saturating_sub(1);
            return;
        };
        call.answered = true;
        if answer.get_no_finish_needed() {
            self.close(id);
        } else {
            call.answer_words += words;
            self.words += words;
        }
    }
}
