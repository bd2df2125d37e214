use crate::Limit;
use crate::refusal::Refusal;

/// Calls of our own, and bootstraps, that the peer has not answered.
///
/// Their ids alone would not tell how many there are: one whose answer somebody
/// here keeps has its id for as long.
#[derive(Default)]
pub(crate) struct Questions {
    /// Whether each waits for its answer, by id. capnp-rpc gives each the lowest
    /// that is free.
    waits: Vec<bool>,
    unanswered: usize,
}

impl Questions {
    /// Takes note that one is asked.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than `limit`.
    pub(crate) fn ask(&mut self, id: u32, limit: usize) -> Result<(), Refusal> {
        let id = id as usize;
        if id >= self.waits.len() {
            self.waits.resize(id + 1, false);
        }
        self.waits[id] = true;
        self.unanswered += 1;
        if self.unanswered > limit {
            return Err(Limit::UnansweredCalls.exceeded(format!(
                "peer has not answered {} calls, more than the limit of {limit}",
                self.unanswered
            )));
        }
        Ok(())
    }

    /// Takes note that the peer has returned from one.
    pub(crate) fn returned(&mut self, id: u32) {
        if let Some(waits @ true) = self.waits.get_mut(id as usize) {
            *waits = false;
            self.unanswered -= 1;
        }
    }
}
