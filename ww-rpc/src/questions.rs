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
    all: Vec<Question>,
    unanswered: usize,
    /// Those that the peer counts as in flight.
    in_flight: usize,
    /// Words of these.
    words: usize,
    /// Those of the unanswered that the peer knows to be let go of.
    let_go: usize,
    /// Those that it does not know so of.
    withheld: usize,
    /// Those that it has not heard of.
    refused: usize,
}

#[derive(Clone, Copy, Default)]
struct Question {
    stage: Stage,
    /// Of its message or, where that is kept, of its answer.
    words: usize,
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
    /// Whether the peer, if it has the same limits, takes a call of so many words beside
    /// those in flight.
    pub(crate) fn have_room(&self, words: usize, limits: &Limits) -> bool {
        self.in_flight < limits.own_calls && self.words.saturating_add(words) <= limits.call_words
    }

    /// Why it takes none, where it does not.
    pub(crate) fn excess(&self, words: usize, limits: &Limits) -> String {
        let Self { in_flight, .. } = self;
        if *in_flight >= limits.own_calls {
            return format!(
                "{in_flight} calls are in flight, as many as may be, and one more is not sent"
            );
        }
        format!(
            "calls in flight would have {} words, more than the limit of {}, and one more is not \
             sent",
            self.words.saturating_add(words),
            limits.call_words
        )
    }

    /// Takes note that one is asked, of so many words.
    ///
    /// # Errors
    ///
    /// `Overloaded` where there are more than the limit.
    pub(crate) fn ask(&mut self, id: u32, words: usize, limits: &Limits) -> Result<(), Refusal> {
        let id = id as usize;
        if id >= self.all.len() {
            self.all.resize(id + 1, Question::default());
        }
        let stage = Stage::Asked;
        self.all[id] = Question { stage, words };
        self.unanswered += 1;
        self.in_flight += 1;
        self.words += words;
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
        if let Some(question) = self.all.get_mut(id as usize) {
            question.stage = Stage::Refused;
            self.refused += 1;
            let words = question.words;
            self.land(words);
        }
    }

    /// Takes note that one of so many words is in flight no more.
    fn land(&mut self, words: usize) {
        self.in_flight -= 1;
        self.words -= words;
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
        Ok(matches!(
            self.stage(answer?.get_question_id()),
            Some(Stage::Refused)
        ))
    }

    fn stage(&self, id: u32) -> Option<Stage> {
        Some(self.all.get(id as usize)?.stage)
    }

    /// Takes note that we have finished with one, and says whether the peer is to
    /// be told now.
    pub(crate) fn finish(&mut self, id: u32, limits: &Limits) -> bool {
        let Some(Question { stage, words }) = self.all.get_mut(id as usize) else {
            return true;
        };
        let words = *words;
        match stage {
            Stage::Asked => {}
            Stage::Kept => {
                *stage = Stage::Over;
                self.land(words);
                return true;
            }
            Stage::Refused => return false,
            Stage::Over | Stage::LetGo | Stage::Withheld => return true,
        }
        // It runs on meanwhile, and is one of those that we may have in flight.
        let most = LET_GO.min(limits.unanswered_calls / 2);
        let withhold = self.let_go >= most && self.withheld < limits.own_calls / 2;
        if withhold {
            *stage = Stage::Withheld;
            self.withheld += 1;
        } else {
            *stage = Stage::LetGo;
            self.let_go += 1;
            self.land(words);
        }
        !withhold
    }

    /// Whether somebody here waits for the answer of one.
    pub(crate) fn are_awaiting(&self, id: u32) -> bool {
        matches!(self.stage(id), Some(Stage::Asked))
    }

    /// Takes note that the peer has returned from one, with so many words, or none that it
    /// keeps until it hears that we have finished with them; and says whether it is to be
    /// told that.
    pub(crate) fn returned(&mut self, id: u32, kept: Option<usize>) -> bool {
        let Some(question) = self.all.get_mut(id as usize) else {
            return false;
        };
        let was = std::mem::take(question);
        match was.stage {
            Stage::Over | Stage::Kept => {
                *question = was;
                return false;
            }
            Stage::Asked => {
                if let Some(words) = kept {
                    question.stage = Stage::Kept;
                    question.words = words;
                    self.in_flight += 1;
                    self.words += words;
                }
                self.land(was.words);
            }
            Stage::LetGo => self.let_go -= 1,
            Stage::Withheld => {
                self.withheld -= 1;
                self.land(was.words);
            }
            Stage::Refused => self.refused -= 1,
        }
        self.unanswered -= 1;
        matches!(was.stage, Stage::Withheld) && kept.is_some()
    }
}
