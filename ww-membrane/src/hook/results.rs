use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use capnp::capability::Promise;
use capnp::private::capability::{PipelineHook, RequestHook, ResultsHook};
use capnp::traits::ImbueMut;
use capnp::{Error, MessageSize, any_pointer};
use futures::channel::oneshot;

use crate::hook::answer::Answer;
use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::cross::Direction;
use crate::hook::early::Early;
use crate::hook::link;
use crate::hook::message::{Message, Table, carry};
use crate::{Call, Passage};

/// Where the inside writes the results of a call that came through a wrapper.
///
/// Their capabilities are written into a table of its own, so that they cross
/// when all is written.
pub(super) struct Results {
    /// Present until dropped.
    draft: Option<Draft>,
    written: Option<oneshot::Sender<Draft>>,
}

/// What was written.
pub(super) struct Draft {
    boundary: Rc<Boundary>,
    call: Call,
    direction: Direction,
    place: Place,
    /// How much of it the policies have been shown.
    weighed: Option<MessageSize>,
    /// Set with the pipeline, unless that is provisional; no capability may
    /// follow then: how many there were in the table.
    sealed: OnceCell<usize>,
}

enum Place {
    /// A message of our own, which becomes the answer.
    Own(Message, Rc<Early>),
    /// The message of the outer results, and the table of our own.
    Outer(Box<dyn ResultsHook>, Table),
}

impl Results {
    /// Results for the inside to write into those of a caller outside, and what
    /// it has written once it drops them.
    pub(super) fn of_caller(
        boundary: &Rc<Boundary>,
        call: Call,
        direction: Direction,
        outer: Box<dyn ResultsHook>,
    ) -> (Self, oneshot::Receiver<Draft>) {
        Self::new(boundary, call, direction, Place::Outer(outer, Table::new()))
    }

    /// The same for a caller that takes an [`Answer`], and whoever waits for
    /// its pipeline at `early`.
    pub(super) fn own(
        boundary: &Rc<Boundary>,
        call: Call,
        direction: Direction,
        early: Rc<Early>,
    ) -> (Self, oneshot::Receiver<Draft>) {
        Self::new(boundary, call, direction, Place::Own(Message::new(), early))
    }

    fn new(
        boundary: &Rc<Boundary>,
        call: Call,
        direction: Direction,
        place: Place,
    ) -> (Self, oneshot::Receiver<Draft>) {
        let (written, draft) = oneshot::channel();
        let results = Self {
            draft: Some(Draft {
                boundary: boundary.clone(),
                call,
                direction,
                place,
                weighed: None,
                sealed: OnceCell::new(),
            }),
            written: Some(written),
        };
        (results, draft)
    }

    fn draft(&mut self) -> Result<&mut Draft, Error> {
        self.draft
            .as_mut()
            .ok_or_else(|| Error::failed("results were sent".into()))
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        if let (Some(draft), Some(written)) = (self.draft.take(), self.written.take()) {
            // Nobody waits if the call was cancelled.
            let _ = written.send(draft);
        }
    }
}

impl Draft {
    /// What was written into a message of our own.
    ///
    /// # Errors
    ///
    /// Capabilities were added after the pipeline was set, or it may not cross.
    pub(super) fn into_answer(mut self) -> Result<Answer, Error> {
        self.check_seal()?;
        self.weigh()?;
        match self.place {
            Place::Own(mut message, _) => {
                message.cross(&self.boundary, self.direction)?;
                Ok(Answer::Carried(message))
            }
            Place::Outer(..) => Err(Error::failed("results are the caller's".into())),
        }
    }

    /// Hands what was written over to the caller.
    ///
    /// # Errors
    ///
    /// Capabilities were added after the pipeline was set, or it may not cross.
    pub(super) fn hand_over(mut self) -> Result<(), Error> {
        self.check_seal()?;
        self.weigh()?;
        match &mut self.place {
            Place::Outer(outer, table) if self.sealed.get().is_none() => {
                hand_over(&mut **outer, table, &self.boundary, self.direction)
            }
            _ => Ok(()),
        }
    }

    /// Shows the policies what was written, or what has come to it since they
    /// were shown the rest: the pipeline lets capabilities out before all is
    /// written.
    fn weigh(&mut self) -> Result<(), Error> {
        if !self.boundary.weighs() {
            return Ok(());
        }
        let size = self.root()?.target_size()?;
        let new = match self.weighed {
            None => size,
            Some(known) if size.word_count <= known.word_count => return Ok(()),
            // The pointer to the root has been counted.
            Some(known) => MessageSize {
                word_count: size.word_count - known.word_count - 1,
                cap_count: size.cap_count.saturating_sub(known.cap_count),
            },
        };
        let answer = Passage::answer(self.call, self.direction, new);
        self.boundary.weigh(&answer)?;
        self.weighed = Some(size);
        Ok(())
    }

    fn check_seal(&self) -> Result<(), Error> {
        match self.sealed.get() {
            Some(sealed) if self.capabilities() > *sealed => Err(Error::failed(
                "capabilities were added to results after their pipeline was set".into(),
            )),
            _ => Ok(()),
        }
    }

    fn capabilities(&self) -> usize {
        match &self.place {
            Place::Own(message, _) => message.capabilities(),
            Place::Outer(_, table) => table.len(),
        }
    }

    fn root(&mut self) -> Result<any_pointer::Builder<'_>, Error> {
        match &mut self.place {
            Place::Own(message, _) => message.root(),
            Place::Outer(outer, table) => {
                let mut root = outer.get()?;
                root.imbue_mut(table);
                Ok(root)
            }
        }
    }

    fn set_pipeline(&mut self) -> Result<(), Error> {
        let provisional = PROVISIONAL.take();
        if self.sealed.get().is_some() {
            return Err(Error::failed(
                "the pipeline of results was set twice".into(),
            ));
        }
        self.weigh()?;
        match &mut self.place {
            Place::Own(message, early) => {
                let copy = Message::copy(message.reader()?)?;
                let copy = copy.crossed(&self.boundary, self.direction)?;
                early.set(Answer::Carried(copy));
            }
            Place::Outer(outer, table) => {
                hand_over(&mut **outer, table, &self.boundary, self.direction)?;
                if provisional {
                    set_provisional_pipeline(&mut **outer)?;
                } else {
                    outer.set_pipeline()?;
                }
            }
        }
        if !provisional {
            let _ = self.sealed.set(self.capabilities());
        }
        Ok(())
    }
}

thread_local! {
    /// Whether results whose pipeline is being set are written anew afterwards.
    static PROVISIONAL: Cell<bool> = const { Cell::new(false) };
}

/// Sets the pipeline of `results` to what is written in them so far, all of
/// which is going to be overwritten; so capabilities may follow.
pub(super) fn set_provisional_pipeline(results: &mut dyn ResultsHook) -> Result<(), Error> {
    // Nothing but this can be said to results of another membrane, which are
    // given to us by what knows of neither.
    PROVISIONAL.set(true);
    let set = results.set_pipeline();
    PROVISIONAL.set(false);
    set
}

/// Moves the capabilities of what was written into the table of `outer`,
/// carried across.
fn hand_over(
    outer: &mut dyn ResultsHook,
    table: &mut Table,
    boundary: &Rc<Boundary>,
    direction: Direction,
) -> Result<(), Error> {
    let mut written = std::mem::take(table);
    if written.is_empty() {
        return Ok(());
    }
    if let [_] = &written[..] {
        let mut root = outer.get()?;
        root.imbue_mut(&mut written);
        if let Some(field) = link::field_of_one(root) {
            carry(&mut written, boundary, direction)?;
            if let Some(Some(capability)) = written.pop() {
                return link::relink(outer.get()?, field, capability);
            }
            return Ok(());
        }
    }
    let mut root = outer.get()?;
    root.imbue_mut(&mut written);
    // Capabilities that were set and overwritten do not count.
    let content = root.into_reader();
    let size = content.target_size()?;
    let Some(copy) = Message::carried(boundary, direction, content, size)? else {
        return Ok(());
    };
    overwrite(outer.get()?, copy.reader()?)
}

/// Puts `content` in the place of what is there.
pub(super) fn overwrite(
    mut root: any_pointer::Builder<'_>,
    content: any_pointer::Reader<'_>,
) -> Result<(), Error> {
    // Overwriting an object that holds capabilities panics, so the pointer to
    // it is cut first; copying a null pointer does that.
    let mut null = Message::of(1);
    null.root()?;
    root.set_as(null.reader()?)?;
    root.set_as(content)
}

impl ResultsHook for Results {
    fn get(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.draft()?.root()
    }

    fn set_pipeline(&mut self) -> capnp::Result<()> {
        self.draft()?.set_pipeline()
    }

    /// Calls can always be cancelled.
    fn allow_cancellation(&self) {}

    fn tail_call(self: Box<Self>, _request: Box<dyn RequestHook>) -> Promise<(), Error> {
        Promise::err(no_tail_call())
    }

    fn direct_tail_call(
        self: Box<Self>,
        _request: Box<dyn RequestHook>,
    ) -> (Promise<(), Error>, Box<dyn PipelineHook>) {
        (
            Promise::err(no_tail_call()),
            broken::pipeline(no_tail_call()),
        )
    }
}

fn no_tail_call() -> Error {
    Error::unimplemented("tail calls do not cross a membrane".into())
}
