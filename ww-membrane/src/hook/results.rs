use std::rc::Rc;

use capnp::Error;
use capnp::any_pointer;
use capnp::capability::Promise;
use capnp::private::capability::{ParamsHook, PipelineHook, RequestHook, ResultsHook};
use capnp::traits::ImbueMut;
use futures::channel::oneshot;

use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::cross::Direction;
use crate::hook::message::{Message, Table};

/// Where the inside writes the results of a call that came through a wrapper.
///
/// They are written into the message of the outer results, but their
/// capabilities into a table of its own, so that they cross when all is
/// written.
pub(super) struct Results {
    /// Present until dropped.
    draft: Option<Draft>,
    written: Option<oneshot::Sender<Draft>>,
}

/// What was written.
pub(super) struct Draft {
    boundary: Rc<Boundary>,
    direction: Direction,
    outer: Box<dyn ResultsHook>,
    table: Table,
    /// Capabilities have crossed for the pipeline, and no more may follow.
    sealed: bool,
}

/// Parameters that have crossed.
pub(super) struct Params(Message);

impl Params {
    /// Carries the capabilities of `params` across; without any, `params`
    /// passes as it is.
    pub(super) fn cross(
        boundary: &Rc<Boundary>,
        direction: Direction,
        params: Box<dyn ParamsHook>,
    ) -> Result<Box<dyn ParamsHook>, Error> {
        let carried = Message::carried(boundary, direction, params.get()?)?;
        Ok(match carried {
            Some(message) => Box::new(Self(message)),
            None => params,
        })
    }
}

impl ParamsHook for Params {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.0.reader()
    }
}

impl Results {
    /// Results for the inside to write, and what it has written once it drops
    /// them.
    pub(super) fn new(
        boundary: &Rc<Boundary>,
        direction: Direction,
        outer: Box<dyn ResultsHook>,
    ) -> (Self, oneshot::Receiver<Draft>) {
        let (written, draft) = oneshot::channel();
        let results = Self {
            draft: Some(Draft {
                boundary: boundary.clone(),
                direction,
                outer,
                table: Table::new(),
                sealed: false,
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
    /// Hands the results over.
    ///
    /// # Errors
    ///
    /// Capabilities were added after the pipeline was set, or may not cross.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        if self.table.is_empty() {
            return Ok(());
        }
        if self.sealed {
            return Err(Error::failed(
                "capabilities were added to results after their pipeline was set".into(),
            ));
        }
        self.carry()
    }

    /// Replaces what was written by a copy whose capabilities have crossed.
    fn carry(&mut self) -> Result<(), Error> {
        let boundary = self.boundary.clone();
        let direction = self.direction;
        let written = self.root()?.into_reader();
        let Some(copy) = Message::carried(&boundary, direction, written)? else {
            // Capabilities that were set and overwritten.
            self.table.clear();
            return Ok(());
        };
        self.table.clear();
        let mut root = self.outer.get()?;
        // Overwriting an object that holds capabilities panics, so the pointer
        // to it is cut first; copying a null pointer does that.
        let mut null = Message::new();
        null.root()?;
        root.set_as(null.reader()?)?;
        root.set_as(copy.reader()?)
    }

    fn root(&mut self) -> Result<any_pointer::Builder<'_>, Error> {
        let mut root = self.outer.get()?;
        root.imbue_mut(&mut self.table);
        Ok(root)
    }
}

impl ResultsHook for Results {
    fn get(&mut self) -> capnp::Result<any_pointer::Builder<'_>> {
        self.draft()?.root()
    }

    fn set_pipeline(&mut self) -> capnp::Result<()> {
        let draft = self.draft()?;
        if !draft.sealed {
            draft.carry()?;
            draft.sealed = true;
        }
        draft.outer.set_pipeline()
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
