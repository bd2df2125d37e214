use std::rc::Rc;

use capnp::Error;
use capnp::capability::{Promise, RemotePromise};
use capnp::private::capability::{ClientHook, ParamsHook, PipelineOp, ResultsHook};

use crate::hook::boundary::Boundary;
use crate::hook::cross::{Direction, cross};
use crate::hook::link::Fields;
use crate::hook::message::Message;
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
    if let Some(fields) = boundary.method(call).and_then(|method| method.promised()) {
        let promised = |field| {
            let ops = vec![PipelineOp::GetPointerField(field)];
            cross(
                boundary,
                direction,
                pipeline.hook.get_pipelined_cap_move(ops),
            )
        };
        promise_results(&mut *results, fields, promised)?;
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
        match Message::carried(&boundary, direction, content, size)? {
            Some(carried) => overwrite(results.get()?, carried.reader()?),
            None => overwrite(results.get()?, content),
        }
    }))
}

/// Writes promised capabilities into the pointer fields of which there is a bit
/// in `fields`, for pipelined calls alone.
fn promise_results(
    results: &mut dyn ResultsHook,
    fields: u64,
    promised: impl Fn(u16) -> Box<dyn ClientHook>,
) -> Result<(), Error> {
    let count = u64::BITS - fields.leading_zeros();
    let mut root: Fields<'_> = results.get()?.initn_as(count);
    for field in (0..u16::BITS as u16 * 4).filter(|field| fields & (1 << field) != 0) {
        root.set(usize::from(field), promised(field));
    }
    set_provisional_pipeline(results)
}
