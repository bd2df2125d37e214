use std::rc::Rc;

use capnp::Error;
use capnp::private::capability::{ClientHook, PipelineOp};
use capnp_rpc::rpc_capnp::{message, return_};

use super::call::Call;
use super::draft::Draft;
use super::fault::{self, broken};
use super::kept::Kept;
use super::results::Written;
use super::{Connection, SMALL};

/// What there is for a question of the peer's.
pub(super) enum Answer {
    Running(Rc<Call>),
    /// The peer has finished with it, and others keep its call running.
    Finished,
    /// Results with capabilities, of which these are exports.
    Given {
        kept: Rc<Kept>,
        exports: Vec<u32>,
    },
    /// What we bootstrap.
    Bootstrap {
        hook: Box<dyn ClientHook>,
        exports: Vec<u32>,
    },
    Failed(Error),
}

impl Answer {
    /// The same, without what the peer is to give back.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Running(call) => Self::Running(call.clone()),
            Self::Finished => Self::Finished,
            Self::Given { kept, .. } => Self::Given {
                kept: kept.clone(),
                exports: Vec::new(),
            },
            Self::Bootstrap { hook, .. } => Self::Bootstrap {
                hook: hook.add_ref(),
                exports: Vec::new(),
            },
            Self::Failed(error) => Self::Failed(error.clone()),
        }
    }

    /// The capability to which `path` leads.
    pub(super) fn pipelined(&self, path: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        match self {
            Self::Running(call) => call.pipelined(path),
            Self::Given { kept, .. } => kept.pipelined(&path),
            Self::Bootstrap { hook, .. } if path.is_empty() => hook.add_ref(),
            Self::Bootstrap { .. } => broken(Error::failed(
                "peer looks for a capability inside of a capability".into(),
            )),
            Self::Finished => broken(Error::failed(
                "the peer has finished with the answer".into(),
            )),
            Self::Failed(error) => broken(error.clone()),
        }
    }
}

impl Connection {
    /// Where the results of a call of the peer's are written.
    pub(super) fn results(&self, question: u32) -> Written {
        Written::new(question, &self.link)
    }

    /// Answers a call. The results are kept where the peer may ask for more of them,
    /// and given to those who `wait` for some.
    pub(super) fn answer(
        self: &Rc<Self>,
        question: u32,
        mut results: Written,
        wait: bool,
    ) -> Result<Option<Rc<Kept>>, Error> {
        if let Some(error) = self.ended() {
            return Err(error);
        }
        if !matches!(
            self.answers.borrow().get(&question),
            Some(Answer::Running(_))
        ) {
            self.answer_cancelled(question);
            let Written { draft, caps } = results;
            let kept = || Rc::new(Kept::Sent(Rc::new(draft.message), caps));
            return Ok(wait.then(kept));
        }
        let without = results.caps.is_empty();
        results.answer()?.set_no_finish_needed(without);
        let caps = std::mem::take(&mut results.caps);
        let exports = match without {
            true => Vec::new(),
            false => self.describe_all(&caps, results.payload()?)?,
        };
        let calls = &self.link.calls;
        calls.answer(question, without, results.draft.words());
        let message = results.draft.send(&self.link);
        let kept = (wait || !without).then(|| Rc::new(Kept::Sent(message, caps)));
        let before = match (without, &kept) {
            (false, Some(kept)) => {
                let kept = kept.clone();
                let answer = Answer::Given { kept, exports };
                self.answers.borrow_mut().insert(question, answer)
            }
            _ => self.answers.borrow_mut().remove(&question),
        };
        drop(before);
        Ok(kept)
    }

    /// Answers that a call has failed.
    pub(super) fn answer_error(&self, question: u32, error: &Error) {
        if self.end.borrow().is_some() {
            return;
        }
        let mut draft = Draft::new(&self.link, 0);
        fault::write(error, begin(&mut draft, question).init_exception());
        self.link.calls.answer(question, false, draft.words());
        draft.send(&self.link);
        let before = {
            let mut answers = self.answers.borrow_mut();
            match answers.get_mut(&question) {
                Some(answer @ Answer::Running(_)) => {
                    Some(std::mem::replace(answer, Answer::Failed(fault::cut(error))))
                }
                _ => answers.remove(&question),
            }
        };
        drop(before);
    }

    /// Answers a call that nobody wants the results of any more.
    pub(super) fn answer_cancelled(&self, question: u32) {
        if self.end.borrow().is_some() {
            return;
        }
        let before = self.answers.borrow_mut().remove(&question);
        drop(before);
        let mut draft = Draft::new(&self.link, SMALL + 1);
        begin(&mut draft, question).set_canceled(());
        self.link.calls.answer(question, false, 0);
        draft.send(&self.link);
    }

    /// Answers that no results are kept for a question of our own.
    pub(super) fn refuse_to_keep(&self, question: u32) {
        self.link.traffic.was_called();
        let mut draft = Draft::new(&self.link, SMALL + 1);
        let mut answer = begin(&mut draft, question);
        // None of them was looked at.
        answer.set_release_param_caps(true);
        answer.set_results_sent_elsewhere(());
        draft.send(&self.link);
    }

    pub(super) fn answer_bootstrap(self: &Rc<Self>, question: u32) -> Result<(), Error> {
        let bootstrap = self.bootstrap.borrow().as_ref().map(|hook| hook.add_ref());
        let Some(hook) = bootstrap else {
            return Ok(());
        };
        if self.answers.borrow().contains_key(&question) {
            return Err(Error::failed(format!(
                "peer asked for the bootstrap with the question id {question}, which is in use"
            )));
        }
        let mut results = self.results(question);
        results.set(hook.add_ref())?;
        let caps = std::mem::take(&mut results.caps);
        let exports = self.describe_all(&caps, results.payload()?)?;
        self.link
            .calls
            .answer(question, false, results.draft.words());
        results.draft.send(&self.link);
        let answer = Answer::Bootstrap { hook, exports };
        self.answers.borrow_mut().insert(question, answer);
        Ok(())
    }
}

/// An answer to a question. Capabilities among its parameters are let go of one by
/// one.
pub(super) fn begin(draft: &mut Draft, question: u32) -> return_::Builder<'_> {
    let root = draft.message.init_root::<message::Builder<'_>>();
    let mut answer = root.init_return();
    answer.set_answer_id(question);
    answer.set_release_param_caps(false);
    answer
}
