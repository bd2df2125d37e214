use capnp::Error;

/// Calls of our own, and bootstraps, that the peer has not answered.
///
/// Their ids alone would not tell how many there are: one whose answer somebody
/// here keeps has its id for as long.
#[derive(Default)]
pub(crate) struct Questions {
    /// By id. capnp-rpc gives each the lowest that is free.
    states: Vec<State>,
    unanswered: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// The id is free, or has been answered.
    #[default]
    Answered,
    Asked,
    /// Nobody here waits any more.
    Finished,
}

impl Questions {
    /// Takes note that one is asked.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than `limit`.
    pub(crate) fn ask(&mut self, id: u32, limit: usize) -> Result<(), Error> {
        let id = id as usize;
        if id >= self.states.len() {
            self.states.resize(id + 1, State::Answered);
        }
        self.states[id] = State::Asked;
        self.unanswered += 1;
        if self.unanswered > limit {
            return Err(Error::overloaded(format!(
                "peer has not answered {} calls, more than the limit of {limit}",
                self.unanswered
            )));
        }
        Ok(())
    }

    /// Takes note that nobody waits for an answer any more, or has let go of it.
    pub(crate) fn finish(&mut self, id: u32) {
        if let Some(state @ State::Asked) = self.states.get_mut(id as usize) {
            *state = State::Finished;
        }
    }

    /// Takes note that the peer has returned from one: with an answer, or
    /// without, which is no help to whoever still waits for one.
    pub(crate) fn returned(&mut self, id: u32, answered: bool) {
        let Some(state) = self.states.get_mut(id as usize) else {
            return;
        };
        let over = match state {
            State::Answered => false,
            State::Asked => answered,
            State::Finished => true,
        };
        if over {
            *state = State::Answered;
            self.unanswered -= 1;
        }
    }
}
