use std::rc::Rc;

use capnp::Error;
use capnp::capability::{Promise, RemotePromise};
use capnp::private::capability::{ClientHook, ParamsHook, PipelineHook, PipelineOp, ResultsHook};

use crate::hook::boundary::Boundary;
use crate::hook::cross::{Direction, cross, resolved};
use crate::hook::link::{self, Fields};
use crate::hook::message::Message;
use crate::hook::registry::Root;
use crate::hook::request::is_same;
use crate::hook::results::{overwrite, set_provisional_pipeline};
use crate::{Call, Passage};

/// Makes the call of a caller outside to a `target` that is not of this
/// thread's own: behind a connection, or behind another membrane.
///
/// Where the schema is known to have capabilities at the top of the results and
/// nowhere else, calls that are pipelined on them go on at once. Otherwise they
/// wait here until the answer is back, as in plain forwarding.
pub(super) fn forward(
    boundary: &Rc<Boundary>,
    direction: Direction,
    call: &Call,
    target: &dyn ClientHook,
    params: Box<dyn ParamsHook>,
    mut results: Box<dyn ResultsHook>,
) -> Result<Promise<(), Error>, Error> {
    let mut request = target.new_call(call.interface, call.method, None);
    let content = params.get()?;
    let size = content.target_size()?;
    match Message::carried(boundary, direction.reverse(), content, size)? {
        Some(carried) => request.set(carried.reader()?)?,
        None => request.set(content)?,
    }
    let RemotePromise { promise, pipeline } = request.send();
    let fields = boundary.method(call).and_then(|method| method.promised());
    let promised = fields.map(|fields| Promised::new(fields, pipeline.hook));
    if let Some(promised) = &promised {
        promised.write(boundary, direction, &mut *results)?;
    }
    let (boundary, call) = (boundary.clone(), *call);
    Ok(Promise::from_future(async move {
        // Its connection counts them for as long as they are held: a copy waits where
        // the call goes, for whoever reads there.
        let response = {
            let _counted = params;
            promise.await?
        };
        let content = response.get()?;
        let size = content.target_size()?;
        if boundary.weighs() {
            boundary.weigh(&Passage::answer(call, direction, size))?;
        }
        if size.cap_count == 0 {
            return overwrite(results.get()?, content);
        }
        let mut answer = Message::copy_of(content, size)?;
        if let Some(promised) = promised {
            promised.keep(&mut answer).await?;
        }
        let answer = answer.crossed(&boundary, direction)?;
        overwrite(results.get()?, answer.reader()?)
    }))
}

/// The capabilities that results are known to have.
struct Promised {
    /// By the pointer fields of the results.
    fields: Vec<(u16, Box<dyn ClientHook>)>,
    /// A connection resolves none of them once this is gone.
    _pipeline: Box<dyn PipelineHook>,
}

impl Promised {
    /// Those of `pipeline` of which there is a bit in `fields`.
    fn new(fields: u64, pipeline: Box<dyn PipelineHook>) -> Self {
        let promise = |field| {
            let ops = vec![PipelineOp::GetPointerField(field)];
            (field, pipeline.get_pipelined_cap_move(ops))
        };
        let set = (0..u64::BITS as u16).filter(|field| fields & (1 << field) != 0);
        Self {
            fields: set.map(promise).collect(),
            _pipeline: pipeline,
        }
    }

    /// Writes them into `results`, carried across, for pipelined calls alone.
    fn write(
        &self,
        boundary: &Rc<Boundary>,
        direction: Direction,
        results: &mut dyn ResultsHook,
    ) -> Result<(), Error> {
        let Some((last, _)) = self.fields.last() else {
            return Ok(());
        };
        let mut root: Fields<'_> = results.get()?.initn_as(u32::from(*last) + 1);
        for (field, promise) in &self.fields {
            let promised = cross(boundary, direction, promise.add_ref());
            root.set(usize::from(*field), promised);
        }
        set_provisional_pipeline(results)
    }

    /// Keeps the promise in the `answer` where it has not become what stands there:
    /// calls were pipelined on it that still have to come back from where that is
    /// not, and those on the answer must not overtake them.
    async fn keep(&self, answer: &mut Message) -> Result<(), Error> {
        for (field, promise) in &self.fields {
            let Some(answered) = link::capability(answer.root()?, usize::from(*field)) else {
                continue;
            };
            // A connection has nothing to wait for where the answer is its peer's, which
            // is the case most often.
            if answered.get_brand() == promise.get_brand() && Root::find(&*answered).is_none() {
                continue;
            }
            // Nobody tells who asks for a resolution that is there.
            if promise.get_resolved().is_none()
                && let Some(resolution) = promise.when_more_resolved()
            {
                // Whatever comes of it, the promise has it.
                let _ = resolution.await;
            }
            let is_answered = resolved(promise.add_ref())
                .zip(resolved(answered))
                .is_some_and(|(promised, answered)| is_same(&*promised, &*answered));
            if !is_answered {
                let mut fields: Fields<'_> = answer.root()?.get_as()?;
                fields.set(usize::from(*field), promise.add_ref());
            }
        }
        Ok(())
    }
}
