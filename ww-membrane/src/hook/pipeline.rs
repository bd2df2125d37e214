use std::rc::Rc;

use capnp::private::capability::{ClientHook, PipelineHook, PipelineOp};

use crate::hook::sent::Sent;

/// The pipeline of a call that was sent through a wrapper.
#[derive(Clone)]
pub(super) struct Pipeline {
    sent: Rc<Sent>,
}

impl Pipeline {
    pub(super) fn new(sent: Rc<Sent>) -> Self {
        Self { sent }
    }
}

impl PipelineHook for Pipeline {
    fn add_ref(&self) -> Box<dyn PipelineHook> {
        Box::new(self.clone())
    }

    fn get_pipelined_cap(&self, ops: &[PipelineOp]) -> Box<dyn ClientHook> {
        self.sent.capability(ops)
    }
}
