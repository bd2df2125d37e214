use capnp::private::capability::PipelineOp;
use capnp::{Error, struct_list};
use capnp_rpc::rpc_capnp::promised_answer;

/// Which pointer of an answer leads to a capability: in which pointer of which, and
/// so on.
pub(super) fn read(
    transform: struct_list::Reader<'_, promised_answer::op::Owned>,
) -> Result<Vec<PipelineOp>, Error> {
    let step = |op: promised_answer::op::Reader<'_>| {
        Ok(match op.which()? {
            promised_answer::op::Noop(()) => PipelineOp::Noop,
            promised_answer::op::GetPointerField(field) => PipelineOp::GetPointerField(field),
        })
    };
    transform.iter().map(step).collect()
}

/// Writes that such a path leads to what is meant, in the answer to a question.
pub(super) fn write(question: u32, path: &[PipelineOp], mut into: promised_answer::Builder<'_>) {
    into.set_question_id(question);
    if path.is_empty() {
        return;
    }
    let mut transform = into.init_transform(path.len() as u32);
    for (index, step) in path.iter().enumerate() {
        if let PipelineOp::GetPointerField(field) = step {
            let mut op = transform.reborrow().get(index as u32);
            op.set_get_pointer_field(*field);
        }
    }
}
