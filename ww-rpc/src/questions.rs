use capnp::Error;
use capnp_rpc::rpc_capnp::message_target;

use crate::refusal::Refusal;
use crate::{Limit, Limits};

/// Calls of our own, and bootstraps, that the peer has not answered, or has not heard
/// that we have finished with.
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
    /// Those that the peer counts as in flight.
    in_flight: usize,
    /// Those of the unanswered that the peer knows to be let go of.
    let_go: usize,
    /// Those that it does not know so of.
    withheld: usize,
    /// Those that it has not heard of.
    refused: usize,
}

/// How far a question has come.
#[derive(Clone, Copy, Default)]
enum Stage {
    #[default]
    Over,
    Asked,
    /// Answered, and the peer keeps the answer until it hears that we have finished.
    Kept,
    /// Let go of before it was answered, as the peer knows.
    LetGo,
    /// The same, which it is told with its answer.
    Withheld,
    /// Not sent: its answer is of our own making.
    Refused,
}

/// Calls that the peer is told are let go of while they run, before it is told so of
/// others only with their answers. A guest's memory has to bear what it keeps of them.
const LET_GO: usize = 1 << 14;

impl Questions {
    /// Whether as many are in flight as may be.
    pub(crate) fn are_full(&self, limits: &Limits) -> bool {
        self.in_flight >= limits.own_calls
    }

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
        self.in_flight += 1;
        let limit = limits.unanswered_calls;
        if self.unanswered > limit {
            return Err(Limit::UnansweredCalls.exceeded(format!(
                "peer has not answered {} calls, more than the limit of {limit}",
                self.unanswered
            )));
        }
        Ok(())
    }

    /// Takes note that one that is asked is not sent.
    pub(crate) fn refuse(&mut self, id: u32) {
        if let Some(stage) = self.stages.get_mut(id as usize) {
            *stage = Stage::Refused;
            self.refused += 1;
            self.in_flight -= 1;
        }
    }

    /// Whether one was not sent, and is not answered yet.
    pub(crate) fn are_refused(&self) -> bool {
        self.refused > 0
    }

    /// Whether `target` is the answer of such a one.
    pub(crate) fn were_refused(&self, target: message_target::Reader<'_>) -> Result<bool, Error> {
        let message_target::PromisedAnswer(answer) = target.which()? else {
            return Ok(false);
        };
        let stage = self.stages.get(answer?.get_question_id() as usize);
        Ok(matches!(stage, Some(Stage::Refused)))
    }

    /// Takes note that we have finished with one, and says whether the peer is to
    /// be told now.
    pub(crate) fn finish(&mut self, id: u32, limits: &Limits) -> bool {
        let stage = match self.stages.get_mut(id as usize) {
            Some(stage @ Stage::Asked) => stage,
            Some(stage @ Stage::Kept) => {
                *stage = Stage::Over;
                self.in_flight -= 1;
                return true;
            }
            Some(Stage::Refused) => return false,
            _ => return true,
        };
        // It runs on meanwhile, and is one of those that we may have in flight.
        let most = LET_GO.min(limits.unanswered_calls / 2);
        let withhold = self.let_go >= most && self.withheld < limits.own_calls / 2;
        if withhold {
            *stage = Stage::Withheld;
            self.withheld += 1;
        } else {
            *stage = Stage::LetGo;
            self.let_go += 1;
            self.in_flight -= 1;
        }
        !withhold
    }

    /// Whether somebody here waits for the answer of one.
    pub(crate) fn are_awaiting(&self, id: u32) -> bool {
        matches!(self.stages.get(id as usize), Some(Stage::Asked))
    }

    /// Takes note that the peer has returned from one, `closed` where it keeps nothing of
    /// it, and says whether it is to be told that we have finished with it.
    pub(crate) fn returned(&mut self, id: u32, closed: bool) -> bool {
        let Some(stage) = self.stages.get_mut(id as usize) else {
            return false;
        };
        let was = std::mem::take(stage);
        match was {
            Stage::Over => return false,
            Stage::Kept => {
                *stage = was;
                return false;
            }
            Stage::Asked if !closed => *stage = Stage::Kept,
            Stage::Asked => self.in_flight -= 1,
            Stage::LetGo => self.let_go -= 1,
            Stage::Withheld => {
                self.withheld -= 1;
                self.in_flight -= 1;
            }
            Stage::Refused => self.refused -= 1,
        }
        self.unanswered -= 1;
        matches!(was, Stage::Withheld) && !closed
    }
}
