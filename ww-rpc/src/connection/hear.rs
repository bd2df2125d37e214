use std::collections::btree_map::Entry;
use std::rc::Rc;

use capnp::Error;
use capnp::message::{Reader, ReaderOptions, ReaderSegments};
use capnp::private::capability::{ClientHook, PipelineOp};
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, disembargo, finish, message, message_target, resolve, return_,
};

use super::answer::Answer;
use super::call::Call;
use super::draft::Draft;
use super::fault::{self, broken};
use super::incoming::{Caps, Incoming, Params, Response};
use super::question::Question;
use super::results::Results;
use super::{Connection, innermost, path};
use crate::Limits;
use crate::calls::Held;
use crate::frame::Frame;
use crate::plain::Plain;

/// What is left to do with a message, once it has been looked at.
enum Next {
    Nothing,
    Call(Begun),
    /// Results for somebody.
    Answer(Rc<Question>),
    Unimplemented,
}

/// What there is of a call in its message.
struct Begun {
    question: u32,
    interface: u64,
    method: u16,
    target: Box<dyn ClientHook>,
    caps: Caps,
    held: Option<Held>,
}

impl Connection {
    /// Does what a message of the peer's asks for. A call is to be polled then.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or a limit, or has given up: the connection is to
    /// end.
    pub(super) fn hear(self: &Rc<Self>, frame: Frame) -> Result<Option<Rc<Call>>, Error> {
        let limits = self.link.calls.limits();
        let words = frame.words();
        let plain = Plain::of(frame.get_segment(0).unwrap_or_default());
        let most = match plain {
            Some(Plain::Results { .. }) => limits.answer_traversal_words(),
            _ => Limits::traversal_words(words),
        };
        let mut options = ReaderOptions::new();
        options
            .traversal_limit_in_words(Some(most))
            .nesting_limit(limits.nesting);
        let message = Reader::new(frame, options);
        match self.read(&message, plain, words)? {
            Next::Nothing => Ok(None),
            Next::Call(begun) => self.begin(begun, message).map(Some),
            Next::Answer(question) => {
                let message = match plain {
                    Some(_) => message,
                    None => {
                        let most = limits.answer_traversal_words();
                        options.traversal_limit_in_words(Some(most));
                        Reader::new(message.into_segments(), options)
                    }
                };
                self.answered(question, message)?;
                Ok(None)
            }
            Next::Unimplemented => {
                self.refuse(&message)?;
                Ok(None)
            }
        }
    }

    fn read(
        self: &Rc<Self>,
        message: &Reader<Frame>,
        plain: Option<Plain>,
        words: usize,
    ) -> Result<Next, Error> {
        let root: message::Reader<'_> = message.get_root()?;
        match root.which() {
            Ok(message::Call(call)) => return self.read_call(call?, plain, words),
            Ok(message::Return(answer)) => return self.read_return(answer?, plain, words),
            Ok(message::Finish(finish)) => self.hear_finish(finish?)?,
            Ok(message::Bootstrap(bootstrap)) => {
                let bootstrap = bootstrap?;
                self.link.calls.bootstrap(bootstrap)?;
                self.answer_bootstrap(bootstrap.get_question_id())?;
            }
            Ok(message::Resolve(resolve)) => self.hear_resolve(resolve?)?,
            Ok(message::Release(release)) => {
                let release = release?;
                self.release_export(release.get_id(), release.get_reference_count())?;
            }
            Ok(message::Disembargo(disembargo)) => self.hear_disembargo(disembargo?)?,
            Ok(message::Abort(abort)) => return Err(fault::read(abort?, fault::LONGEST)),
            Ok(message::Unimplemented(message)) => self.hear_unimplemented(message?)?,
            Ok(
                message::Provide(_)
                | message::Accept(_)
                | message::Join(_)
                | message::ObsoleteSave(_)
                | message::ObsoleteDelete(_),
            )
            | Err(capnp::NotInSchema(_)) => return Ok(Next::Unimplemented),
        }
        Ok(Next::Nothing)
    }

    fn read_call(
        self: &Rc<Self>,
        call: call::Reader<'_>,
        plain: Option<Plain>,
        words: usize,
    ) -> Result<Next, Error> {
        let question = call.get_question_id();
        match call.get_send_results_to().which()? {
            call::send_results_to::Caller(()) => {}
            call::send_results_to::Yourself(()) => {
                self.refuse_to_keep(question);
                return Ok(Next::Nothing);
            }
            call::send_results_to::ThirdParty(_) => {
                return Err(Error::failed(
                    "peer would have the results of a call sent to a third vat".into(),
                ));
            }
        }
        let (held, caps) = match plain {
            Some(Plain::Call { target, .. }) => {
                let held = self.link.calls.plain_call(question, target, words)?;
                (held, Caps::new())
            }
            _ => {
                let held = self.link.calls.call(call, words)?;
                (held, self.receive_all(call.get_params()?.get_cap_table()?)?)
            }
        };
        Ok(Next::Call(Begun {
            question,
            interface: call.get_interface_id(),
            method: call.get_method_id(),
            target: self.target(call.get_target()?)?,
            caps,
            held,
        }))
    }

    fn begin(self: &Rc<Self>, begun: Begun, message: Reader<Frame>) -> Result<Rc<Call>, Error> {
        let Begun {
            question,
            interface,
            method,
            target,
            caps,
            held,
        } = begun;
        let call = Call::new(self, question);
        match self.answers.borrow_mut().entry(question) {
            Entry::Vacant(entry) => entry.insert(Answer::Running(call.clone())),
            Entry::Occupied(_) => {
                call.cancel();
                return Err(Error::failed(format!(
                    "peer made a call with the question id {question}, which is in use"
                )));
            }
        };
        let incoming = Incoming::new(message, held, self.link.clone());
        let params = Params { incoming, caps };
        let results = Results::new(&call, &self.link);
        call.begin(target.call(interface, method, Box::new(params), Box::new(results)));
        Ok(call)
    }

    fn read_return(
        self: &Rc<Self>,
        answer: return_::Reader<'_>,
        plain: Option<Plain>,
        words: usize,
    ) -> Result<Next, Error> {
        let id = answer.get_answer_id();
        let which = answer.which()?;
        if plain.is_none()
            && let return_::Results(results) = &which
        {
            self.link.calls.answered(results.clone()?, words)?;
        }
        let Some(returned) = self.returned(id, answer.get_no_finish_needed()) else {
            return Err(Error::failed(format!(
                "peer answered question {id}, which is not open"
            )));
        };
        if answer.get_release_param_caps() {
            for export in returned.params {
                self.release_export(export, 1)?;
            }
        }
        let Some(question) = returned.question else {
            return Ok(Next::Nothing);
        };
        let error = match which {
            return_::Results(_) => return Ok(Next::Answer(question)),
            return_::Exception(exception) => fault::read(exception?, fault::LONGEST_OF_CALL),
            return_::Canceled(()) => Error::failed("the peer has cancelled the call".into()),
            // Cap'n Proto's C++ runtime does so where a call of ours leads back to us,
            // and we have refused to keep what it leads to.
            return_::TakeFromOtherQuestion(_) => Error::unimplemented(
                "the call led back here before the peer could know, call again".into(),
            ),
            return_::ResultsSentElsewhere(()) | return_::AcceptFromThirdParty(_) => {
                Error::failed("the peer has sent the results to somebody else".into())
            }
        };
        question.resolve(Err(error));
        Ok(Next::Nothing)
    }

    fn answered(
        self: &Rc<Self>,
        question: Rc<Question>,
        message: Reader<Frame>,
    ) -> Result<(), Error> {
        let incoming = Incoming::new(message, None, self.link.clone());
        let mut response = Response {
            incoming,
            caps: Caps::new(),
        };
        response.caps = self.receive_all(response.table()?)?;
        question.resolve(Ok(response));
        Ok(())
    }

    fn hear_finish(&self, finish: finish::Reader<'_>) -> Result<(), Error> {
        let id = finish.get_question_id();
        self.link.calls.finish(id);
        // Nothing is borrowed while a call is cancelled. A finish too many was
        // already on its way when the peer was told that none is needed.
        let answer = {
            let mut answers = self.answers.borrow_mut();
            match answers.get_mut(&id) {
                Some(answer @ Answer::Running(_)) => {
                    Some(std::mem::replace(answer, Answer::Finished))
                }
                Some(Answer::Finished) | None => None,
                Some(_) => answers.remove(&id),
            }
        };
        if let Some(Answer::Given { exports, .. } | Answer::Bootstrap { exports, .. }) = &answer
            && finish.get_release_result_caps()
        {
            for &export in exports {
                self.release_export(export, 1)?;
            }
        }
        drop(answer);
        Ok(())
    }

    fn hear_resolve(self: &Rc<Self>, resolve: resolve::Reader<'_>) -> Result<(), Error> {
        self.link.calls.resolve(resolve)?;
        let id = resolve.get_promise_id();
        let to = match resolve.which()? {
            resolve::Cap(descriptor) => match self.receive(descriptor?)? {
                Some(hook) => Ok(hook),
                None => {
                    return Err(Error::failed(format!(
                        "peer resolved its promise {id} to nothing"
                    )));
                }
            },
            resolve::Exception(exception) => Err(fault::read(exception?, fault::LONGEST)),
        };
        let promised = {
            let mut imports = self.imports.borrow_mut();
            match imports.get_mut(&id) {
                Some(imported) if imported.open => imported.resolve(),
                // It was released before, and may have been sent again since.
                _ => None,
            }
        };
        if let Some(promised) = promised {
            promised.resolve(to);
        }
        Ok(())
    }

    fn hear_disembargo(self: &Rc<Self>, disembargo: disembargo::Reader<'_>) -> Result<(), Error> {
        match disembargo.get_context().which()? {
            disembargo::context::SenderLoopback(id) => {
                let target = innermost(self.target(disembargo.get_target()?)?);
                self.send_back(id, &*target)
            }
            disembargo::context::ReceiverLoopback(id) => {
                let over = self.embargoes.borrow_mut().remove(id);
                match over {
                    Some(over) => {
                        // Whoever held the promise may have let go of it.
                        drop(over.send(Ok(())));
                        Ok(())
                    }
                    None => Err(Error::failed(format!(
                        "peer sent embargo {id} back, which is not in force"
                    ))),
                }
            }
            disembargo::context::Accept(_) | disembargo::context::Provide(_) => {
                Err(Error::unimplemented("embargoes between three vats".into()))
            }
        }
    }

    /// Takes back what the peer has not understood.
    fn hear_unimplemented(&self, message: message::Reader<'_>) -> Result<(), Error> {
        let message::Resolve(resolve) = message.which()? else {
            return Err(Error::failed(
                "peer does not implement a message that it has to".into(),
            ));
        };
        if let resolve::Cap(descriptor) = resolve?.which()?
            && let cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) =
                descriptor?.which()?
        {
            self.release_export(id, 1)?;
        }
        Ok(())
    }

    /// Sends a message back that is not understood.
    fn refuse(&self, message: &Reader<Frame>) -> Result<(), Error> {
        let mut draft = Draft::new(&self.link, 0);
        let mut root = draft.message.init_root::<message::Builder<'_>>();
        root.set_unimplemented(message.get_root()?)?;
        draft.send(&self.link);
        Ok(())
    }

    /// What a message is addressed to.
    fn target(
        self: &Rc<Self>,
        target: message_target::Reader<'_>,
    ) -> Result<Box<dyn ClientHook>, Error> {
        match target.which()? {
            message_target::ImportedCap(id) => self.exported(id).ok_or_else(|| {
                Error::failed(format!("peer called export {id}, which it does not hold"))
            }),
            message_target::PromisedAnswer(answer) => {
                let answer = answer?;
                let path = path::read(answer.get_transform()?)?;
                Ok(self.pipelined(answer.get_question_id(), path))
            }
        }
    }

    /// A capability of an answer of ours, be it there or not.
    pub(super) fn pipelined(&self, question: u32, path: Vec<PipelineOp>) -> Box<dyn ClientHook> {
        let answer = self.answers.borrow().get(&question).map(Answer::share);
        match answer {
            Some(answer) => answer.pipelined(path),
            None => broken(Error::failed(format!(
                "answer {question} has no capabilities, or the peer has finished with it"
            ))),
        }
    }
}
