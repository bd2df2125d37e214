use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use capnp::{Error, struct_list};
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, disembargo, message, message_target, promised_answer, resolve, return_,
};

use crate::promises::Promises;
use crate::{Limits, Traffic};

/// What capnp-rpc takes up for a capability in a message from the peer, in
/// words, beside its descriptor.
const CAPABILITY_WORDS: usize = 88;

/// What it keeps of each mention of an answer that is not there yet, in words,
/// beside the path to what is mentioned: until that answer is there.
const MENTION_WORDS: usize = 36;

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
    /// Calls that the peer has finished with while their parameters are held,
    /// by serial number, with the depth of those that promises resolve to:
    /// others are pipelined on them, so they run on.
    held: BTreeMap<u64, u32>,
    /// Calls that the peer has finished with before they were answered.
    unanswered: usize,
    /// Words of the mentions of such calls, by question id.
    mentions: BTreeMap<u32, usize>,
    /// Words of all parameters that are held, of answers that are open, and of
    /// mentions of those that are not there yet.
    words: usize,
    /// Depth of all calls together that promises of the peer's resolve to, as
    /// long as they hold their parameters and are not answered.
    resolved: u32,
    /// Exports that have turned out to be the peer's own.
    reflecting: BTreeSet<u32>,
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
    /// Words of its mentions, until it is answered.
    mention_words: usize,
    /// Its depth, where promises resolve to its answer.
    resolved: u32,
    /// Whether it was made on what is the peer's own: so is its answer.
    reflected: bool,
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
                let words = words.saturating_add(table_words(call.get_params()?.get_cap_table()?));
                let depth = state.depth(call)?;
                let reflected = state.is_reflected(call)?;
                let id = call.get_question_id();
                let held = state.hold(id, depth, words, &self.limits)?;
                if let (Some(_), Some(call)) = (&held, state.open.get_mut(&id)) {
                    call.reflected = reflected;
                }
                Ok(held)
            }
            Ok(message::Return(answer)) => {
                if let return_::Results(results) = answer?.which()? {
                    let table = results?.get_cap_table()?;
                    let words = words.saturating_add(table_words(table));
                    table
                        .iter()
                        .try_for_each(|entry| state.refuse_circle(entry))?;
                    if words > self.limits.message_words {
                        return Err(Error::overloaded(format!(
                            "answer of the peer's has {} capabilities and takes {words} words, \
                             more than the limit of {}",
                            table.len(),
                            self.limits.message_words
                        )));
                    }
                }
                Ok(None)
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
                let (resolve, limit) = (resolve?, self.limits.resolutions);
                self.promises.borrow_mut().resolve(resolve, limit)?;
                state.resolve(resolve, &self.limits)?;
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
            Ok(message::Resolve(resolve)) => {
                let resolve = resolve?;
                let resolve::Cap(descriptor) = resolve.which()? else {
                    return Ok(());
                };
                let descriptor = descriptor?;
                if let cap_descriptor::ReceiverHosted(_) | cap_descriptor::ReceiverAnswer(_) =
                    descriptor.which()?
                {
                    let reflecting = &mut self.state.borrow_mut().reflecting;
                    reflecting.insert(resolve.get_promise_id());
                }
                self.export_one(descriptor)
            }
            Ok(message::Release(release)) => {
                self.promises.borrow_mut().release(release?.get_id());
                Ok(())
            }
            Ok(message::Disembargo(disembargo)) => self.embargo(disembargo?),
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
            Ok(cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id)) => {
                // The id was free again.
                self.state.borrow_mut().reflecting.remove(&id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An embargo lasts until the peer has sent it back, and its id tells how
    /// many there are as that of an export does.
    fn embargo(&self, disembargo: disembargo::Reader<'_>) -> Result<(), Error> {
        match disembargo.get_context().which() {
            Ok(disembargo::context::SenderLoopback(id)) if id as usize >= self.limits.exports => {
                Err(Error::overloaded(format!(
                    "peer has not sent back {} embargoes, more than the limit of {}",
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
        let resolved = match state.open.get_mut(&held.id) {
            Some(call) if call.serial == held.serial => {
                call.held = false;
                std::mem::take(&mut call.resolved)
            }
            _ => state.held.remove(&held.serial).unwrap_or(0),
        };
        state.resolved -= resolved;
    }
}

/// What the capabilities of a message take up.
fn table_words(table: struct_list::Reader<'_, cap_descriptor::Owned>) -> usize {
    (table.len() as usize).saturating_mul(CAPABILITY_WORDS)
}

impl State {
    /// How many calls, this one included, wait for one another at the most.
    fn depth(&mut self, call: call::Reader<'_>) -> Result<u32, Error> {
        let mut behind = match call.get_target()?.which()? {
            message_target::PromisedAnswer(answer) => self.mention(answer?)?,
            message_target::ImportedCap(_) => 0,
        };
        for descriptor in call.get_params()?.get_cap_table()? {
            if let cap_descriptor::ReceiverAnswer(answer) = descriptor.which()? {
                behind = behind.max(self.mention(answer?)?);
            }
        }
        Ok(behind.saturating_add(1))
    }

    /// Takes note that an answer is mentioned, and tells its call's depth.
    /// Nothing waits behind one that is not open: it is a broken one.
    fn mention(&mut self, answer: promised_answer::Reader<'_>) -> Result<u32, Error> {
        let Some(call) = self.open.get_mut(&answer.get_question_id()) else {
            return Ok(0);
        };
        if !call.answered {
            let path = answer.get_transform()?.len() as usize;
            let words = MENTION_WORDS.saturating_add(path);
            call.mention_words = call.mention_words.saturating_add(words);
            self.words = self.words.saturating_add(words);
        }
        Ok(call.depth)
    }

    /// Takes note that a promise resolves to an answer. Who holds the promise
    /// holds the call, whose parameters may hold the next promise.
    fn resolve(&mut self, resolve: resolve::Reader<'_>, limits: &Limits) -> Result<(), Error> {
        let resolve::Cap(descriptor) = resolve.which()? else {
            return Ok(());
        };
        let descriptor = descriptor?;
        self.refuse_circle(descriptor)?;
        let cap_descriptor::ReceiverAnswer(answer) = descriptor.which()? else {
            return Ok(());
        };
        let answer = answer?;
        self.mention(answer)?;
        self.fits(0, limits)?;
        let call = self.open.get_mut(&answer.get_question_id());
        if let Some(call) = call
            && call.held
            && !call.answered
            && call.resolved == 0
        {
            call.resolved = call.depth;
            self.resolved += call.depth;
        }
        if self.resolved > limits.resolutions {
            return Err(Error::overloaded(format!(
                "peer resolved promises to answers that wait for {} calls, more than the limit \
                 of {}",
                self.resolved, limits.resolutions
            )));
        }
        Ok(())
    }

    /// Whether a call is made on what is the peer's own, so that it answers the
    /// call itself.
    fn is_reflected(&self, call: call::Reader<'_>) -> Result<bool, Error> {
        Ok(match call.get_target()?.which()? {
            message_target::ImportedCap(export) => self.reflecting.contains(&export),
            message_target::PromisedAnswer(answer) => {
                let call = self.open.get(&answer?.get_question_id());
                call.is_some_and(|call| call.reflected)
            }
        })
    }

    /// capnp-rpc would follow the answer of a call that is its own answer for
    /// ever. A membrane breaks such circles; on what is the peer's own, none is
    /// there.
    fn refuse_circle(&self, descriptor: cap_descriptor::Reader<'_>) -> Result<(), Error> {
        if let cap_descriptor::ReceiverAnswer(answer) = descriptor.which()? {
            let id = answer?.get_question_id();
            if self.open.get(&id).is_some_and(|call| call.reflected) {
                return Err(Error::failed(format!(
                    "peer gives the answer of its call {id}, which it has to answer itself"
                )));
            }
        }
        Ok(())
    }

    /// The words of all calls, and `words` more, where they may be as many.
    fn fits(&self, words: usize, limits: &Limits) -> Result<usize, Error> {
        let sum = self.words.saturating_add(words);
        if sum > limits.call_words {
            return Err(Error::overloaded(format!(
                "calls of the peer's in flight have {sum} words, more than the limit of {}",
                limits.call_words
            )));
        }
        Ok(sum)
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
        let sum = self.fits(words, limits)?;
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
        let calls = self.open.len() + self.held.len();
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
            mention_words: 0,
            resolved: 0,
            reflected: false,
        });
        Ok(Some(self.serial))
    }

    fn close(&mut self, id: u32) {
        let Some(call) = self.open.remove(&id) else {
            return;
        };
        self.words -= call.answer_words;
        if call.held {
            self.held.insert(call.serial, call.resolved);
        }
        if !call.answered {
            self.unanswered += 1;
            // They are kept for as long as anybody keeps it running, who has a
            // capability of it that counts for a few of them.
            let kept = call.mention_words.saturating_sub(CAPABILITY_WORDS);
            self.words -= call.mention_words - kept;
            if kept > 0 {
                self.mentions.insert(id, kept);
            }
        }
    }

    fn answer(&mut self, answer: return_::Reader<'_>, words: usize) {
        let id = answer.get_answer_id();
        let Some(call) = self.open.get_mut(&id) else {
            self.unanswered = self.unanswered.saturating_sub(1);
            self.words -= self.mentions.remove(&id).unwrap_or(0);
            return;
        };
        call.answered = true;
        self.words -= std::mem::take(&mut call.mention_words);
        self.resolved -= std::mem::take(&mut call.resolved);
        if answer.get_no_finish_needed() {
            self.close(id);
        } else {
            call.answer_words += words;
            self.words += words;
        }
    }
}
