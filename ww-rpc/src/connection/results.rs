use std::rc::{Rc, Weak};

use capnp::Error;
use capnp::any_pointer;
use capnp::capability::Promise;
use capnp::private::capability::{ClientHook, PipelineHook, RequestHook, ResultsHook};
use capnp::traits::ImbueMut;
use capnp_rpc::rpc_capnp::{message, payload, return_};

use super::answer;
use super::call::Call;
use super::draft::Draft;
use super::fault::Broken;
use super::incoming::Caps;
use super::kept::Kept;
use crate::link::Link;

/// Where a server writes what it answers a call of the peer's with.
pub(super) struct Results {
    call: Weak<Call>,
    question: u32,
    link: Rc<Link>,
    written: Option<Written>,
}

/// A return with results, which lacks its table of capabilities.
pub(super) struct Written {
    pub(super) draft: Draft,
    pub(super) caps: Caps,
}

impl Results {
    pub(super) fn new(call: &Rc<Call>, link: &Rc<Link>) -> Self {
        Self {
            call: Rc::downgrade(call),
            question: call.question,
            link: link.clone(),
            written: None,
        }
    }
}

impl Written {
    pub(super) fn new(question: u32, link: &Link) -> Self {
        let mut draft = Draft::new(link, 0);
        answer::begin(&mut draft, question).init_results();
        Self {
            draft,
            caps: Caps::new(),
        }
    }

    /// The return as it is so far.
    pub(super) fn answer(&mut self) -> Result<return_::Builder<'_>, Error> {
        let root: message::Builder<'_> = self.draft.message.get_root()?;
        match root.which()? {
            message::Return(answer) => answer,
            _ => Err(Error::failed("an answer was made something else".into())),
        }
    }

    /// What it says beside that.
    pub(super) fn payload(&mut self) -> Result<payload::Builder<'_>, Error> {
        payload(&mut self.draft)
    }

    fn content(&mut self) -> Result<any_pointer::Builder<'_>, Error> {
        let mut content = payload(&mut self.draft)?.get_content();
        content.imbue_mut(&mut self.caps);
        Ok(content)
    }

    /// Makes a capability all that there is of the results.
    pub(super) fn set(&mut self, hook: Box<dyn ClientHook>) -> Result<(), Error> {
        self.content()?.set_as_capability(hook);
        Ok(())
    }
}

fn payload(draft: &mut Draft) -> Result<payload::Builder<'_>, Error> {
    let root: message::Builder<'_> = draft.message.get_root()?;
    if let message::Return(answer) = root.which()?
        && let return_::Results(results) = answer?.which()?
    {
        return results;
    }
    Err(Error::failed("results were made something else".into()))
}

impl ResultsHook for Results {
    fn get(&mut self) -> Result<any_pointer::Builder<'_>, Error> {
        let Self {
            written,
            question,
            link,
            ..
        } = self;
        let written = written.get_or_insert_with(|| Written::new(*question, link));
        written.content()
    }

    fn set_pipeline(&mut self) -> Result<(), Error> {
        let kept = Kept::copy(self.get()?)?;
        match self.call.upgrade() {
            Some(call) => call.give_early(kept),
            None => Ok(()),
        }
    }

    fn allow_cancellation(&self) {
        // Every call may be cancelled.
    }

    fn tail_call(self: Box<Self>, request: Box<dyn RequestHook>) -> Promise<(), Error> {
        let mut results = self;
        let sent = request.send();
        Promise::from_future(async move {
            let response = sent.promise.await?;
            results.get()?.set_as(response.get()?)
        })
    }

    fn direct_tail_call(
        self: Box<Self>,
        _: Box<dyn RequestHook>,
    ) -> (Promise<(), Error>, Box<dyn PipelineHook>) {
        let error = Error::unimplemented("tail calls that answer by themselves".into());
        (Promise::err(error.clone()), Box::new(Broken(error)))
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        if let Some(call) = self.call.upgrade() {
            call.write(self.written.take());
        }
    }
}
