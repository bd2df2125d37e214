use std::cell::{OnceCell, RefCell};
use std::rc::{Rc, Weak};

use capnp::private::capability::ParamsHook;
use capnp::{Error, MessageSize, any_pointer};

use crate::hook::boundary::Boundary;
use crate::hook::cross::Direction;
use crate::hook::message::Message;
use crate::hook::place::{Place, Release};

/// Parameters in a message of our own.
pub(super) struct Params {
    message: Message,
    _original: Option<Rc<Original>>,
}

/// What parameters that have crossed were copied from.
///
/// A connection counts what its peer's calls take up for as long as it sees them
/// held, and of a copy it knows nothing. The capabilities in it are those of the
/// other side, so it is let go of when the boundary falls.
struct Original {
    params: RefCell<Option<Box<dyn ParamsHook>>>,
    place: OnceCell<Place>,
}

impl Params {
    pub(super) fn new(message: Message) -> Self {
        Self {
            message,
            _original: None,
        }
    }

    /// Carries the capabilities of `params` across; without any, `params`
    /// passes as it is. `size` is theirs, where they have been measured.
    pub(super) fn cross(
        boundary: &Rc<Boundary>,
        direction: Direction,
        params: Box<dyn ParamsHook>,
        size: Option<MessageSize>,
    ) -> Result<Box<dyn ParamsHook>, Error> {
        let content = params.get()?;
        let size = size.map_or_else(|| content.target_size(), Ok)?;
        let carried = Message::carried(boundary, direction, content, size)?;
        Ok(match carried {
            Some(message) => Box::new(Self {
                message,
                _original: Some(Original::hold(params, boundary)),
            }),
            None => params,
        })
    }
}

impl ParamsHook for Params {
    fn get(&self) -> capnp::Result<any_pointer::Reader<'_>> {
        self.message.reader()
    }
}

impl Original {
    fn hold(params: Box<dyn ParamsHook>, boundary: &Rc<Boundary>) -> Rc<Self> {
        let original = Rc::new(Self {
            params: RefCell::new(Some(params)),
            place: OnceCell::new(),
        });
        let held: Weak<Self> = Rc::downgrade(&original);
        let _ = original.place.set(boundary.hold(held));
        original
    }
}

impl Release for Original {
    fn release(&self) {
        let params = self.params.take();
        drop(params);
    }
}
