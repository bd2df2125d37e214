use std::collections::BTreeMap;

use capnp::Error;

/// Calls of our own, and bootstraps, that the peer has not answered.
///
/// Their ids alone would not tell how many there are: one whose answer somebody
/// here keeps has its id for as long.
#[derive(Default)]
pub(crate) struct Questions(BTreeMap<u32, Question>);

#[derive(Default)]
struct Question {
    /// Whether nobody here waits any more.
    finished: bool,
}

impl Questions {
    /// Takes note that one is asked.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than `limit`.
    pub(crate) fn ask(&mut self, id: u32, limit: usize) -> Result<(), Error> {
        self.0.insert(id, Question::default());
        let count = self.0.len();
        if count > limit {
            return Err(Error::overloaded(format!(
                "peer has not answered {count} calls, more than the limit of {limit}"
            )));
        }
        Ok(())
    }

    /// Takes note that nobody waits for an answer any more, or has let go of it.
    pub(crate) fn finish(&mut self, id: u32) {
        if let Some(question) = self.0.get_mut(&id) {
            question.finished = true;
        }
    }

    /// Takes note that the peer has returned from one: with an answer, or
    /// without, which is no help to whoever still waits for one.
    pub(crate) fn returned(&mut self, id: u32, answered: bool) {
        let finished = |question: &Question| question.finished;
        if answered || self.0.get(&id).is_some_and(finished) {
            self.0.remove(&id);
        }
    }
}
