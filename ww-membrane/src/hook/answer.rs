use std::rc::Rc;

use capnp::Error;
use capnp::any_pointer;
use capnp::capability::Response;
use capnp::private::capability::{ClientHook, PipelineOp, ResponseHook};

use crate::hook::boundary::Boundary;
use crate::hook::broken;
use crate::hook::cross::Direction;
use crate::hook::message::Message;
use crate::{Call, Passage};

/// A response that has crossed.
pub(super) enum Answer {
    /// Holds no capability, and is passed on as it came.
    Plain(Box<dyn ResponseHook>),
    /// A copy whose capabilities are carried across.
    Carried(Message),
}

impl Answer {
    pub(super) fn cross(
        boundary: &Rc<Boundary>,
        call: Call,
        direction: Direction,
        response: Response<any_pointer::Owned>,
    ) -> Result<Self, Error> {
        let content = response.hook.get()?;
        let size = content.target_size()?;
        if boundary.weighs() {
            boundary.weigh(&Passage::answer(call, direction, size))?;
        }
        let carried = Message::carried(boundary, direction, content, size)?;
        Ok(match carried {
            Some(message) => Self::Carried(message),
            None => Self::Plain(response.hook),
        })
    }

    /// The capability at `ops`; broken where there is none.
    pub(super) fn capability(&self, ops: &[PipelineOp]) -> Box<dyn ClientHook> {
        self.get()
            .and_then(|content| content.get_pipelined_cap(ops))
            .unwrap_or_else(broken::client)
    }

    pub(super) fn get(&self) -> Result<any_pointer::Reader<'_>, Error> {
        match self {
            Self::Plain(response) => response.get(),
            Self::Carried(message) => message.reader(),
        }
    }
}
