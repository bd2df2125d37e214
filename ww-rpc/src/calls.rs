use std::cell::RefCell;
use std::sync::Arc;

use capnp::Error;
use capnp_rpc::rpc_capnp::{bootstrap, call, payload, resolve};

use self::table::Table;
use crate::exports::Exports;
use crate::plain::Target;
use crate::promises::Promises;
use crate::{Limits, Traffic};

pub(crate) use self::table::Held;

mod table;

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
    /// Calls of our own, and bootstraps, that the peer has not answered.
    unanswered: usize,
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
                unanswered: 0,
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
    pub(crate) fn call(&self, call: call::Reader<'_>, words: usize) -> Result<Option<Held>, Error> {
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
    ) -> Result<Option<Held>, Error> {
        self.traffic.was_called();
        let State { table, exports, .. } = &mut *self.state.borrow_mut();
        table.plain_call(question, target, words, exports, &self.limits)
    }

    /// Takes note of results, in a message of `words` words.
    pub(crate) fn answered(&self, results: payload::Reader<'_>, words: usize) -> Result<(), Error> {
        let table = &mut self.state.borrow_mut().table;
        table.answered(results, words, &self.limits, &self.traffic)
    }

    /// Takes note that the peer has answered a call of our own.
    pub(crate) fn returned(&self) {
        self.state.borrow_mut().unanswered -= 1;
    }

    /// Takes note that the peer has finished with a call.
    pub(crate) fn finish(&self, question: u32) {
        self.state.borrow_mut().table.finish(question);
    }

    /// Takes note of what a promise of the peer's resolves to.
    pub(crate) fn resolve(&self, resolve: resolve::Reader<'_>) -> Result<(), Error> {
        let State {
            table, promises, ..
        } = &mut *self.state.borrow_mut();
        promises.resolve(resolve, self.limits.resolutions)?;
        table.resolve(resolve, &self.limits)
    }

    /// Takes note that the peer asks for what we bootstrap.
    pub(crate) fn bootstrap(&self, bootstrap: bootstrap::Reader<'_>) -> Result<(), Error> {
        let table = &mut self.state.borrow_mut().table;
        table.bootstrap(bootstrap.get_question_id(), &self.limits)
    }

    /// Takes note of an answer to the peer, in a message of `words` words.
    pub(crate) fn answer(&self, question: u32, no_finish_needed: bool, words: usize) {
        let table = &mut self.state.borrow_mut().table;
        table.answer(question, no_finish_needed, words);
    }

    /// Takes note of a call of our own, or of asking for the bootstrap.
    ///
    /// # Errors
    ///
    /// `Overloaded` where the peer owes too many answers.
    pub(crate) fn ask(&self) -> Result<(), Error> {
        let state = &mut *self.state.borrow_mut();
        state.unanswered += 1;
        if state.unanswered > self.limits.unanswered_calls {
            return Err(Error::overloaded(format!(
                "peer has not answered {} calls, more than the limit of {}",
                state.unanswered, self.limits.unanswered_calls
            )));
        }
        Ok(())
    }

    /// Takes note of a capability that the peer does not hold yet.
    ///
    /// # Errors
    ///
    /// `Overloaded` where it holds more than the limit.
    pub(crate) fn export(&self, id: u32) -> Result<(), Error> {
        self.state.borrow_mut().exports.send(id)
    }

    /// Takes note that a promise of ours has turned out to be the peer's own.
    pub(crate) fn reflect(&self, export: u32) {
        self.state.borrow_mut().exports.reflect(export);
    }

    /// Takes note of an embargo, which lasts until the peer has sent it back.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than the limit.
    pub(crate) fn embargo(&self, id: u32) -> Result<(), Error> {
        self.state.borrow().exports.embargo(id)
    }

    /// Takes note that we let go of what the peer has given us as `id`.
    pub(crate) fn released(&self, id: u32) {
        self.state.borrow_mut().promises.release(id);
    }

    /// Takes note that a call's parameters have been dropped.
    pub(crate) fn release(&self, held: &Held) {
        self.state.borrow_mut().table.release(held);
    }
}
