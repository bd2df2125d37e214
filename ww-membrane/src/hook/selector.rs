use std::cell::Cell;
use std::rc::Rc;

use capnp::capability::{FromClientHook, Promise, Request};
use capnp::private::capability::{ClientHook, ParamsHook, ResultsHook};
use capnp::{Error, MessageSize, any_pointer};

use crate::hook::broken;

/// Interface and method of the request that `select` makes, if it makes one.
pub(crate) fn selected<C: FromClientHook, T>(select: impl FnOnce(&C) -> T) -> Option<(u64, u16)> {
    let recorder = Recorder::default();
    drop(select(&C::new(recorder.add_ref())));
    recorder.method.get()
}

/// A capability that notes which method is called, and fails the call.
#[derive(Clone, Default)]
struct Recorder {
    method: Rc<Cell<Option<(u64, u16)>>>,
}

impl ClientHook for Recorder {
    fn add_ref(&self) -> Box<dyn ClientHook> {
        Box::new(self.clone())
    }

    fn new_call(
        &self,
        interface_id: u64,
        method_id: u16,
        _: Option<MessageSize>,
    ) -> Request<any_pointer::Owned, any_pointer::Owned> {
        self.method.set(Some((interface_id, method_id)));
        Request::new(broken::request(Error::failed(
            "it is only looked at".into(),
        )))
    }

    fn call(
        &self,
        interface_id: u64,
        method_id: u16,
        _: Box<dyn ParamsHook>,
        _: Box<dyn ResultsHook>,
    ) -> Promise<(), Error> {
        self.new_call(interface_id, method_id, None);
        Promise::err(Error::failed("it is only looked at".into()))
    }

    fn get_brand(&self) -> usize {
        0
    }

    fn get_ptr(&self) -> usize {
        Rc::as_ptr(&self.method) as usize
    }

    fn get_resolved(&self) -> Option<Box<dyn ClientHook>> {
        None
    }

    fn when_more_resolved(&self) -> Option<Promise<Box<dyn ClientHook>, Error>> {
        None
    }

    fn when_resolved(&self) -> Promise<(), Error> {
        Promise::ok(())
    }
}
