use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use capnp::Error;
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, message_target, payload, promised_answer, resolve,
};

use super::behind::Behind;
use super::words::{CAPABILITY_WORDS, copy_words, table_words};
use crate::exports::Exports;
use crate::plain::Target;
use crate::refusal::Refusal;
use crate::{Limit, Limits, Traffic};

/// What it keeps of each mention of an answer that is not there yet, in words,
/// beside the path to what is mentioned: until that answer is there.
const MENTION_WORDS: usize = 36;

/// The calls that the peer has in flight, and what they take up.
#[derive(Default)]
pub(super) struct Table {
    /// By question id, until the peer has finished with the answer. The peer
    /// chooses the ids, and no choice makes a tree slow.
    open: BTreeMap<u32, Call>,
    /// Calls that the peer has finished with while their parameters are held,
    /// by serial number, with the depth of those that promises resolve to:
    /// others are pipelined on them, so they run on.
    held: BTreeMap<u64, u32>,
    /// Calls that the peer has finished with before they were answered.
    unanswered: usize,
    /// What counts on of such calls, by question id.
    cancelled: BTreeMap<u32, Cancelled>,
    /// Words of all parameters that are held, of answers that are open, and of
    /// mentions of those that are not there yet.
    words: usize,
    /// Depth of all calls together that promises of the peer's resolve to, until
    /// they are answered, or are finished with and hold no parameters any more.
    resolved: u32,
    /// Tells calls apart that have the same id one after the other.
    serial: u64,
    /// Whether the last call is the peer's to answer, and promises it another answer of
    /// its own.
    pub(super) reflects_answers: bool,
}

pub(super) struct Call {
    serial: u64,
    pub(super) depth: u32,
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
    pub(super) reflected: bool,
    /// Whether the peer hears but of a failure of its answer.
    unheard: bool,
}

/// What counts on of a call that was finished with before it was answered, until
/// it is.
#[derive(Default)]
struct Cancelled {
    /// Words of its mentions.
    words: usize,
    /// Its depth, where promises resolve to its answer and it let go of its
    /// parameters while it ran: nothing tells then when it is over.
    resolved: u32,
}

/// What one call's parameters take up, to be given back with
/// [`release`](super::Calls::release).
pub(crate) struct Held {
    id: u32,
    serial: u64,
    words: usize,
}

impl Table {
    /// Takes note of a call to be, with parameters of `words` words; none where
    /// its id is taken, which capnp-rpc refuses.
    pub(super) fn call(
        &mut self,
        call: call::Reader<'_>,
        words: usize,
        exports: &Exports,
        limits: &Limits,
        traffic: &Traffic,
    ) -> Result<Option<Held>, Refusal> {
        let params = call.get_params()?;
        let table = params.get_cap_table()?;
        let capabilities = table_words(table, limits, traffic)?;
        let words = words.max(copy_words(params, table.len()));
        let words = words.saturating_add(capabilities);
        let mut behind = match call.get_target()?.which()? {
            message_target::ImportedCap(export) => Behind::of_export(export, exports),
            message_target::PromisedAnswer(answer) => Behind::of(self.read_mention(answer?)?),
        };
        self.reflects_answers = false;
        for descriptor in table {
            if let cap_descriptor::ReceiverAnswer(answer) = descriptor.which()? {
                let mentioned = Behind::of(self.read_mention(answer?)?);
                behind.depth = behind.depth.max(mentioned.depth);
                self.reflects_answers |= behind.reflected && mentioned.reflected;
            }
        }
        self.begin(call.get_question_id(), behind, words, limits)
    }

    /// The same of one that is [plain](crate::plain::Plain).
    pub(super) fn plain_call(
        &mut self,
        id: u32,
        target: Target,
        words: usize,
        exports: &Exports,
        limits: &Limits,
    ) -> Result<Option<Held>, Refusal> {
        self.reflects_answers = false;
        let behind = match target {
            Target::Export(export) => Behind::of_export(export, exports),
            Target::Answer(answer) => Behind::of(self.mention(answer, 0)),
        };
        self.begin(id, behind, words, limits)
    }

    fn begin(
        &mut self,
        id: u32,
        behind: Behind,
        words: usize,
        limits: &Limits,
    ) -> Result<Option<Held>, Refusal> {
        let depth = behind.depth.saturating_add(1);
        if depth > limits.pipeline_depth {
            return Err(Limit::PipelineDepth.exceeded(format!(
                "peer pipelined {depth} calls on one another, more than the limit of {}",
                limits.pipeline_depth
            )));
        }
        let sum = self.fits(words, limits)?;
        let Some(serial) = self.open(id, depth, behind.reflected, limits)? else {
            return Ok(None);
        };
        self.words = sum;
        Ok(Some(Held { id, serial, words }))
    }

    /// Takes note that the peer asks for what we bootstrap.
    pub(super) fn bootstrap(&mut self, id: u32, limits: &Limits) -> Result<(), Refusal> {
        self.open(id, 0, false, limits).map(drop)
    }

    /// Looks at what the peer answers with, in a message of `words` words, and says why
    /// it is too much to receive, if it is.
    pub(super) fn answered(
        &mut self,
        results: payload::Reader<'_>,
        words: usize,
        exports: &Exports,
        limits: &Limits,
        traffic: &Traffic,
    ) -> Result<Option<String>, Refusal> {
        let table = results.get_cap_table()?;
        let words = words.saturating_add(table_words(table, limits, traffic)?);
        for descriptor in table {
            self.given(descriptor, exports, limits)?;
        }
        let (count, limit) = (table.len(), limits.message_words);
        Ok((words > limit).then(|| {
            format!(
                "answer of the peer's has {count} capabilities and takes {words} words, more than \
                 the limit of {limit}"
            )
        }))
    }

    /// Takes note that a part of an answer is mentioned, to which a path of so
    /// many steps leads, and tells its call. Nothing waits behind one that is not
    /// open: it is a broken one.
    fn mention(&mut self, id: u32, path: usize) -> Option<&mut Call> {
        let call = self.open.get_mut(&id)?;
        if !call.answered {
            let words = MENTION_WORDS.saturating_add(path);
            call.mention_words = call.mention_words.saturating_add(words);
            self.words = self.words.saturating_add(words);
        }
        Some(call)
    }

    fn read_mention(
        &mut self,
        answer: promised_answer::Reader<'_>,
    ) -> Result<Option<&mut Call>, Refusal> {
        let path = answer.get_transform()?.len() as usize;
        Ok(self.mention(answer.get_question_id(), path))
    }

    /// Takes note that a promise resolves to an answer. Who holds the promise
    /// holds the call, which may wait for the next promise.
    pub(super) fn resolve(
        &mut self,
        resolve: resolve::Reader<'_>,
        exports: &Exports,
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let resolve::Cap(descriptor) = resolve.which()? else {
            return Ok(());
        };
        let Some(call) = self.given(descriptor?, exports, limits)? else {
            return Ok(());
        };
        if !call.answered && call.resolved == 0 {
            let depth = call.depth;
            call.resolved = depth;
            self.resolved += depth;
        }
        if self.resolved > limits.resolutions {
            return Err(Limit::Resolutions.exceeded(format!(
                "peer resolved promises to answers that wait for {} calls, more than the limit \
                 of {}",
                self.resolved, limits.resolutions
            )));
        }
        Ok(())
    }

    /// Takes note of what the peer answers with or resolves to, and tells the call
    /// whose answer that is.
    ///
    /// capnp-rpc would follow the answer of a call that is its own answer for
    /// ever. A membrane breaks such circles; on what is the peer's own, none is
    /// there. A promise of such an answer is as good as that.
    fn given(
        &mut self,
        descriptor: cap_descriptor::Reader<'_>,
        exports: &Exports,
        limits: &Limits,
    ) -> Result<Option<&mut Call>, Refusal> {
        let answer = match descriptor.which()? {
            cap_descriptor::ReceiverAnswer(answer) => answer?,
            cap_descriptor::ReceiverHosted(id) if exports.are_answers(id) => {
                return Err(Refusal::Broken(Error::failed(format!(
                    "peer gives promise {id} of an answer, which it has to answer itself"
                ))));
            }
            _ => return Ok(None),
        };
        let id = answer.get_question_id();
        self.read_mention(answer)?;
        self.fits(0, limits)?;
        match self.open.get_mut(&id) {
            Some(call) if call.reflected => Err(Refusal::Broken(Error::failed(format!(
                "peer gives the answer of its call {id}, which it has to answer itself"
            )))),
            call => Ok(call),
        }
    }

    /// The words of all calls, and `words` more, where they may be as many.
    fn fits(&self, words: usize, limits: &Limits) -> Result<usize, Refusal> {
        let sum = self.words.saturating_add(words);
        if sum > limits.call_words {
            return Err(Limit::CallWords.exceeded(format!(
                "calls of the peer's in flight have {sum} words, more than the limit of {}",
                limits.call_words
            )));
        }
        Ok(sum)
    }

    /// The new call's serial number; none where its id is taken, which
    /// capnp-rpc refuses.
    fn open(
        &mut self,
        id: u32,
        depth: u32,
        reflected: bool,
        limits: &Limits,
    ) -> Result<Option<u64>, Refusal> {
        let calls = self.open.len() + self.held.len();
        if calls >= limits.calls {
            return Err(Limit::Calls.exceeded(format!(
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
            reflected,
            unheard: false,
        });
        Ok(Some(self.serial))
    }

    /// Takes note that the peer has finished with a call, and says whether it has not
    /// heard of its answer's capabilities.
    pub(super) fn finish(&mut self, id: u32, limits: &Limits) -> Result<bool, Refusal> {
        let unheard = self.open.get(&id).is_some_and(|call| call.unheard);
        self.close(id);
        if self.unanswered > limits.cancelled_calls {
            return Err(Limit::CancelledCalls.exceeded(format!(
                "peer has cancelled {} calls, more than the limit of {}",
                self.unanswered, limits.cancelled_calls
            )));
        }
        Ok(unheard)
    }

    fn close(&mut self, id: u32) {
        let Some(call) = self.open.remove(&id) else {
            return;
        };
        self.words -= call.answer_words;
        let mut counted = Cancelled::default();
        if call.held {
            self.held.insert(call.serial, call.resolved);
        } else {
            counted.resolved = call.resolved;
        }
        if !call.answered {
            self.unanswered += 1;
            // They are kept for as long as anybody keeps it running, who has a
            // capability of it that counts for a few of them.
            counted.words = call.mention_words.saturating_sub(CAPABILITY_WORDS);
            self.words -= call.mention_words - counted.words;
            if counted.words > 0 || counted.resolved > 0 {
                self.cancelled.insert(id, counted);
            }
        }
    }

    /// Takes note that a call is answered, in a message of `words` words.
    pub(super) fn answer(&mut self, id: u32, no_finish_needed: bool, words: usize) {
        let Some(call) = self.open.get_mut(&id) else {
            self.unanswered = self.unanswered.saturating_sub(1);
            let counted = self.cancelled.remove(&id).unwrap_or_default();
            self.words -= counted.words;
            self.resolved -= counted.resolved;
            return;
        };
        call.answered = true;
        self.words -= std::mem::take(&mut call.mention_words);
        self.resolved -= std::mem::take(&mut call.resolved);
        if no_finish_needed {
            self.close(id);
        } else {
            call.answer_words += words;
            self.words += words;
        }
    }

    /// Takes note that the peer does not hear of the capabilities of a call's answer.
    pub(super) fn withhold(&mut self, id: u32) {
        if let Some(call) = self.open.get_mut(&id) {
            call.unheard = true;
        }
    }

    /// Takes note that a call's parameters have been dropped.
    pub(super) fn release(&mut self, held: &Held) {
        self.words -= held.words;
        match self.open.get_mut(&held.id) {
            // It may have let go of them and go on.
            Some(call) if call.serial == held.serial => call.held = false,
            _ => self.resolved -= self.held.remove(&held.serial).unwrap_or(0),
        }
    }
}
