use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};

use capnp::Error;
use capnp::capability::Client as AnyClient;
use capnp::private::capability::ClientHook;
use capnp_rpc::rpc_capnp::message;
use futures::channel::oneshot;

use self::answer::Answer;
use self::client::{Client, WeakClient};
use self::descriptors::Imported;
use self::draft::Draft;
use self::export::Exports;
use self::fault::broken;
use self::flow::Sent;
use self::question::{Answered, Question};
use self::slots::Slots;
use self::tasks::{NewTasks, Task};
use crate::link::Link;

pub(crate) use self::running::Running;

mod answer;
mod call;
mod client;
mod descriptors;
mod draft;
mod embargo;
mod export;
mod fault;
mod flow;
mod hear;
mod import;
mod incoming;
mod kept;
mod path;
mod promised;
mod question;
mod request;
mod results;
mod running;
mod slots;
mod tasks;

/// Promises that are followed, from one to the next.
const FOLLOWED: usize = 64;

/// Words of messages that have no contents that could vary.
const SMALL: usize = 5;

/// The tables of one side of a connection (`rpc.capnp`), and who is served.
///
/// None is borrowed while code runs that is not this module's: what capabilities do
/// when they are called, asked, and dropped. Only another reference to one is taken
/// then, which is counting.
pub(crate) struct Connection {
    pub(crate) link: Rc<Link>,
    bootstrap: RefCell<Option<Box<dyn ClientHook>>>,
    questions: RefCell<Slots<Asked>>,
    answers: RefCell<BTreeMap<u32, Answer>>,
    exports: RefCell<Exports>,
    imports: RefCell<BTreeMap<u32, Imported>>,
    /// What holds calls back until the peer sends word.
    embargoes: RefCell<Slots<oneshot::Sender<Result<(), Error>>>>,
    /// The peer's capabilities that are held here, by their addresses.
    clients: RefCell<HashMap<usize, WeakClient>>,
    new_tasks: NewTasks,
    end: RefCell<Option<Error>>,
}

/// A question until it has been answered, and until nobody here needs the answer.
struct Asked {
    /// Who may still want the answer.
    question: Option<Weak<Question>>,
    /// Exports among the parameters.
    params: Vec<u32>,
    answered: bool,
    no_finish_needed: bool,
}

/// What an answer of the peer's is for.
struct Returned {
    question: Option<Rc<Question>>,
    params: Vec<u32>,
}

/// Follows promises to what they have turned out to be.
fn innermost(mut hook: Box<dyn ClientHook>) -> Box<dyn ClientHook> {
    for _ in 0..FOLLOWED {
        match hook.get_resolved() {
            Some(resolved) => hook = resolved,
            None => return hook,
        }
    }
    broken(Error::failed(format!(
        "a promise leads to {FOLLOWED} others, and on"
    )))
}

/// Drops what nobody waits for any more, where another would need more memory.
fn make_room<T>(waiting: &mut Vec<T>, waits: impl FnMut(&T) -> bool) {
    if waiting.len() == waiting.capacity() {
        waiting.retain(waits);
        // At least as much again goes by until the next look.
        waiting.reserve(waiting.len() + 1);
    }
}

impl Connection {
    pub(crate) fn new(link: Rc<Link>, bootstrap: Option<AnyClient>) -> Rc<Self> {
        let none = || broken(Error::failed("there is no bootstrap capability".into()));
        Rc::new(Self {
            link,
            bootstrap: RefCell::new(Some(bootstrap.map_or_else(none, |client| client.hook))),
            questions: RefCell::default(),
            answers: RefCell::default(),
            exports: RefCell::default(),
            imports: RefCell::default(),
            embargoes: RefCell::default(),
            clients: RefCell::default(),
            new_tasks: NewTasks::default(),
            end: RefCell::default(),
        })
    }

    fn brand(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// Why the connection has ended.
    fn ended(&self) -> Option<Error> {
        self.end.borrow().clone()
    }

    /// Whether calls on `hook` go to the peer.
    fn is_own(&self, hook: &dyn ClientHook) -> bool {
        hook.get_brand() == self.brand()
    }

    /// The client that `hook` is, if calls on it go to the peer.
    fn own(&self, hook: &dyn ClientHook) -> Option<Client> {
        if !self.is_own(hook) {
            return None;
        }
        self.clients.borrow().get(&hook.get_ptr())?.upgrade()
    }

    fn note_client(&self, address: usize, client: WeakClient) {
        self.clients.borrow_mut().insert(address, client);
    }

    fn forget_client(&self, address: usize) {
        self.clients.borrow_mut().remove(&address);
    }

    /// Ends the connection where a message of ours was more than a limit allows.
    fn check(&self, within: Result<(), Error>) {
        if let Err(reason) = within {
            self.link.give_up(reason);
        }
    }

    /// The peer's bootstrap capability.
    pub(crate) fn bootstrap(self: &Rc<Self>) -> Box<dyn ClientHook> {
        if let Some(error) = self.ended() {
            return broken(error);
        }
        let question = self.ask(Vec::new());
        let mut draft = Draft::new(&self.link, SMALL);
        let root = draft.message.init_root::<message::Builder<'_>>();
        root.init_bootstrap().set_question_id(question.id);
        self.check(self.link.calls.ask());
        draft.send(&self.link);
        question.pipelined(Vec::new())
    }

    /// A question that is to be sent, with exports among its parameters.
    fn ask(self: &Rc<Self>, params: Vec<u32>) -> Rc<Question> {
        let mut questions = self.questions.borrow_mut();
        let id = questions.insert(Asked {
            question: None,
            params,
            answered: false,
            no_finish_needed: false,
        });
        let question = Question::new(self, id);
        if let Some(asked) = questions.get_mut(id) {
            asked.question = Some(Rc::downgrade(&question));
        }
        question
    }

    fn send_call(&self, draft: Draft) {
        self.link.traffic.called();
        self.check(self.link.calls.ask());
        draft.send(&self.link);
    }

    /// Takes note that the peer has answered; `None` where nobody asked.
    fn returned(&self, id: u32, no_finish_needed: bool) -> Option<Returned> {
        let mut questions = self.questions.borrow_mut();
        let asked = questions.get_mut(id).filter(|asked| !asked.answered)?;
        asked.answered = true;
        asked.no_finish_needed = no_finish_needed;
        let returned = Returned {
            question: asked.question.as_ref().and_then(Weak::upgrade),
            params: std::mem::take(&mut asked.params),
        };
        if asked.question.is_none() {
            questions.remove(id);
        }
        self.link.calls.returned();
        Some(returned)
    }

    /// Takes note that nobody wants the answer to a question any more.
    fn finish(&self, id: u32) {
        let (answered, needed) = {
            let mut questions = self.questions.borrow_mut();
            let Some(asked) = questions.get_mut(id) else {
                return;
            };
            let (answered, needed) = (asked.answered, !asked.no_finish_needed);
            asked.question = None;
            if answered {
                questions.remove(id);
            }
            (answered, needed)
        };
        if !needed || self.end.borrow().is_some() {
            return;
        }
        let mut draft = Draft::new(&self.link, SMALL);
        let mut finish = draft
            .message
            .init_root::<message::Builder<'_>>()
            .init_finish();
        finish.set_question_id(id);
        // What has come as an answer is released by itself.
        finish.set_release_result_caps(!answered);
        draft.send(&self.link);
    }

    /// Takes note of the answer to a call of a stream, when it comes.
    fn acknowledge(&self, question: Rc<Question>, sent: Sent) {
        self.new_tasks.push(Task::Other(Box::pin(async move {
            sent.answered(Answered(question).await.map(drop));
        })));
    }

    fn release_export(&self, id: u32, count: u32) -> Result<(), Error> {
        let released = self.exports.borrow_mut().release(id, count)?;
        drop(released);
        Ok(())
    }

    fn release_import(&self, id: u32, references: u32) {
        self.imports.borrow_mut().remove(&id);
        if references == 0 || self.end.borrow().is_some() {
            return;
        }
        let mut draft = Draft::new(&self.link, SMALL);
        let mut release = draft
            .message
            .init_root::<message::Builder<'_>>()
            .init_release();
        release.set_id(id);
        release.set_reference_count(references);
        self.link.calls.released(id);
        draft.send(&self.link);
    }

    /// Ends the connection: whoever waits for something hears of it, and what the
    /// peer holds is dropped.
    pub(crate) fn end(&self, error: Error) {
        {
            let mut end = self.end.borrow_mut();
            if end.is_some() {
                return;
            }
            *end = Some(error.clone());
        }
        let questions = self.questions.take();
        let answers = self.answers.take();
        let exports = self.exports.take();
        let embargoes = self.embargoes.take();
        let bootstrap = self.bootstrap.take();
        let promised: Vec<_> = {
            let imports = self.imports.borrow();
            imports.values().filter_map(Imported::promised).collect()
        };
        for asked in questions.into_values() {
            if let Some(question) = asked.question.and_then(|question| question.upgrade()) {
                question.resolve(Err(error.clone()));
            }
        }
        for promised in promised {
            promised.resolve(Err(error.clone()));
        }
        for over in embargoes.into_values() {
            drop(over.send(Err(error.clone())));
        }
        for answer in answers.into_values() {
            if let Answer::Running(call) = &answer {
                call.cancel();
            }
        }
        drop((exports, bootstrap));
        let mut draft = Draft::new(&self.link, 0);
        let root = draft.message.init_root::<message::Builder<'_>>();
        fault::write(&error, root.init_abort());
        draft.send(&self.link);
        self.link.shut(Err(error));
    }
}
