use std::cell::RefCell;
use std::sync::Arc;

use capnp::Error;
use capnp_rpc::rpc_capnp::{message, return_};

use self::table::Table;
use crate::exports::Exports;
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
}

impl Calls {
    pub(crate) fn new(limits: Limits, traffic: Arc<Traffic>) -> Self {
        Self {
            limits,
            traffic,
            state: RefCell::new(State {
                table: Table::default(),
                promises: Promises::default(),
                exports: Exports::new(&limits),
            }),
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
        let limits = &self.limits;
        let State {
            table,
            promises,
            exports,
        } = &mut *self.state.borrow_mut();
        match message.which() {
            Ok(message::Call(call)) => {
                self.traffic.was_called();
                return table.call(call?, words, exports, limits);
            }
            Ok(message::Return(answer)) => table.answered(answer?, words, limits)?,
            Ok(message::Finish(finish)) => table.finish(finish?.get_question_id(), limits)?,
            Ok(message::Resolve(resolve)) => {
                let resolve = resolve?;
                promises.resolve(resolve, limits.resolutions)?;
                table.resolve(resolve, limits)?;
            }
            Ok(message::Bootstrap(bootstrap)) => {
                table.bootstrap(bootstrap?.get_question_id(), limits)?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Takes note of a message of `words` words to the peer.
    ///
    /// # Errors
    ///
    /// `Overloaded` where it exports more than the limits allow, or the peer owes
    /// too many answers.
    pub(crate) fn sent(&self, message: message::Reader<'_>, words: usize) -> Result<(), Error> {
        let State {
            table,
            promises,
            exports,
        } = &mut *self.state.borrow_mut();
        match message.which() {
            Ok(message::Return(answer)) => {
                let answer = answer?;
                table.answer(answer, words);
                match answer.which() {
                    Ok(return_::Results(results)) => exports.send(results?.get_cap_table()?),
                    _ => Ok(()),
                }
            }
            Ok(message::Call(call)) => {
                self.traffic.called();
                let call = call?;
                exports.ask(call.get_question_id())?;
                exports.send(call.get_params()?.get_cap_table()?)
            }
            Ok(message::Bootstrap(bootstrap)) => exports.ask(bootstrap?.get_question_id()),
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
