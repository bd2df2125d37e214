use std::rc::Rc;

use capnp::capability::{Promise, RemotePromise};
use capnp::private::capability::{PipelineHook, RequestHook};
use capnp::traits::ImbueMut;
use capnp::{Error, MessageSize, any_pointer};
use capnp_rpc::rpc_capnp::{call, message};

use super::client::Client;
use super::draft::Draft;
use super::fault::Broken;
use super::flow::Sent;
use super::incoming::Caps;
use super::question::{Answered, Pipeline, Question};

/// Words of a call beside its parameters.
const CALL_WORDS: u64 = 16;

/// Words of a descriptor of a capability.
const DESCRIPTOR_WORDS: u64 = 4;

/// A call that goes to the peer.
pub(super) struct Request {
    target: Client,
    draft: Draft,
    caps: Caps,
}

impl Request {
    pub(super) fn new(
        target: Client,
        interface: u64,
        method: u16,
        size: Option<MessageSize>,
    ) -> Self {
        let hint = size.map_or(0, |size| {
            size.word_count + CALL_WORDS + u64::from(size.cap_count) * DESCRIPTOR_WORDS
        });
        let hint = usize::try_from(hint).unwrap_or(0);
        let mut draft = Draft::new(&target.connection().link, hint);
        let mut call = draft
            .message
            .init_root::<message::Builder<'_>>()
            .init_call();
        call.set_interface_id(interface);
        call.set_method_id(method);
        Self {
            target,
            draft,
            caps: Caps::new(),
        }
    }

    fn call(&mut self) -> Result<call::Builder<'_>, Error> {
        written(&mut self.draft)
    }

    /// Asks the question that it is. In its stead there may be the same call on
    /// what the target has turned out to be.
    fn ask(mut self) -> Result<Asked, Error> {
        let connection = self.target.connection().clone();
        if let Some(error) = connection.ended() {
            return Err(error);
        }
        let target = self.target.clone();
        if let Some(elsewhere) = target.write_target(self.call()?.get_target()?) {
            let mut call = self.call()?;
            let (interface, method) = (
                call.reborrow().get_interface_id(),
                call.reborrow().get_method_id(),
            );
            let mut request = elsewhere.new_call(interface, method, None);
            request.get().set_as(self.get().into_reader())?;
            return Ok(Asked::Elsewhere(request.hook));
        }
        let Self {
            mut draft, caps, ..
        } = self;
        let exports = match caps.is_empty() {
            true => Vec::new(),
            false => connection.describe_all(&caps, written(&mut draft)?.get_params()?)?,
        };
        let question = connection.ask(exports);
        written(&mut draft)?.set_question_id(question.id);
        let bytes = draft.words() * 8;
        connection.send_call(draft);
        // A capability is let go of when nothing is borrowed any more.
        drop(caps);
        Ok(Asked::Here(question, bytes))
    }
}

enum Asked {
    /// So many bytes were sent.
    Here(Rc<Question>, usize),
    Elsewhere(Box<dyn RequestHook>),
}

fn written(draft: &mut Draft) -> Result<call::Builder<'_>, Error> {
    let root: message::Builder<'_> = draft.message.get_root()?;
    match root.which()? {
        message::Call(call) => call,
        _ => Err(Error::failed("a call was made something else".into())),
    }
}

impl RequestHook for Request {
    /// # Panics
    ///
    /// Never: what is built here is a call.
    fn get(&mut self) -> any_pointer::Builder<'_> {
        let Self { draft, caps, .. } = self;
        let params = written(draft).and_then(|call| call.get_params());
        let mut content = params.expect("a call was begun").get_content();
        content.imbue_mut(caps);
        content
    }

    fn get_brand(&self) -> usize {
        self.target.connection().brand()
    }

    fn send(self: Box<Self>) -> RemotePromise<any_pointer::Owned> {
        match self.ask() {
            Ok(Asked::Here(question, _)) => RemotePromise {
                promise: Promise::from_future(Answered(question.clone())),
                pipeline: any_pointer::Pipeline::new(Box::new(Pipeline(question))),
            },
            Ok(Asked::Elsewhere(request)) => request.send(),
            Err(error) => RemotePromise {
                promise: Promise::err(error.clone()),
                pipeline: any_pointer::Pipeline::new(Box::new(Broken(error))),
            },
        }
    }

    fn send_streaming(self: Box<Self>) -> Promise<(), Error> {
        let flow = self.target.flow();
        match self.ask() {
            Ok(Asked::Here(question, bytes)) => {
                let connection = question.connection.clone();
                let room = flow.send(bytes);
                connection.acknowledge(question, Sent::new(&flow, bytes));
                room
            }
            Ok(Asked::Elsewhere(request)) => request.send_streaming(),
            Err(error) => Promise::err(error),
        }
    }

    fn tail_send(self: Box<Self>) -> Option<(u32, Promise<(), Error>, Box<dyn PipelineHook>)> {
        // Whoever would forward an answer makes a call of it.
        None
    }
}
