use crate::refusal::Refusal;
use crate::{Limit, Limits};

/// Calls of our own, and bootstraps, that the peer has not answered.
///
/// Their ids alone would not tell how many there are: one whose answer somebody
/// here keeps has its id for as long.
///
/// capnp-rpc never answers a call that it hears is let go of while it runs, and
/// keeps something of it for as long as the connection lasts, on both sides. So
/// there must not be ever more of them: after some, the peer hears of others only
/// when it has answered.
#[derive(Default)]
pub(crate) struct Questions {
    /// By id. capnp-rpc gives each the lowest that is free.
    stages: Vec<Stage>,
    unanswered: usize,
    /// Those of them that the peer knows to be let go of.
    let_go: usize,
    /// Those that it does not know so of.
    withheld: usize,
}

/// How far a question has come.
#[derive(Clone, Copy, Default)]
enum Stage {
    #[default]
    Answered,
    Asked,
    /// Let go of before it was answered, as the peer knows.
    LetGo,
    /// The same, which it is told with its answer.
    Withheld,
}

impl Questions {
    /// Takes note that one is asked.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than the limit.
    pub(crate) fn ask(&mut self, id: u32, limits: &Limits) -> Result<(), Refusal> {
        let id = id as usize;
        if id >= self.stages.len() {
            self.stages.resize(id + 1, Stage::default());
        }
        self.stages[id] = Stage::Asked;
        self.unanswered += 1;
        let limit = limits.unanswered_calls;
        if self.unanswered > limit {
            return Err(Limit::UnansweredCalls.exceeded(format!(
                "peer has not answered {} calls, more than the limit of {limit}",
                self.unanswered
            )));
        }
        Ok(())
    }

    /// Takes note that we have finished with one, and says whether the peer is to
    /// be told now.
    pub(crate) fn finish(&mut self, id: u32, limits: &Limits) -> bool {
        let Some(stage @ Stage::Asked) = self.stages.get_mut(id as usize) else {
            return true;
        };
        // It runs on meanwhile, and is one of those that we may have in flight.
        let withhold =
            self.let_go >= limits.unanswered_calls / 2 && self.withheld < limits.calls / 2;
        if withhold {
            *stage = Stage::Withheld;
            self.withheld += 1;
        } else {
            *stage = Stage::LetGo;
            self.let_go += 1;
        }
        !withhold
    }

    /// Takes note that the peer has returned from one, and says whether it is to
    /// be told that we have finished with it.
    pub(crate) fn returned(&mut self, id: u32) -> bool {
        let Some(stage) = self.stages.get_mut(id as usize) else {
            return false;
        };
        let was = std::mem::take(stage);
        match was {
            Stage::Answered => return false,
            Stage::Asked => {}
            Stage::LetGo => self.let_go -= 1,
            Stage::Withheld => self.withheld -= 1,
        }
        self.unanswered -= 1;
        matches!(was, Stage::Withheld)
    }
}
