use std::rc::Rc;

use capnp::Error;

use crate::{Call, Policy, Verdict};

/// Denies calls from outside while as many are in flight as there may be.
///
/// Clones count together. A call is in flight until its answer is there, or
/// until nobody waits for it any more.
#[derive(Clone, Debug)]
pub struct InFlight {
    most: usize,
    /// Shared by the tickets of the calls, which are counted so.
    tickets: Rc<()>,
    /// Shared by the clones.
    clones: Rc<()>,
}

impl InFlight {
    /// Passes `most` calls at a time.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            tickets: Rc::new(()),
            clones: Rc::new(()),
        }
    }

    /// How many calls are in flight.
    pub fn count(&self) -> usize {
        // Each clone has one of its own.
        Rc::strong_count(&self.tickets) - Rc::strong_count(&self.clones)
    }
}

impl Policy for InFlight {
    fn inbound(&self, _: &Call) -> Verdict {
        if self.count() < self.most {
            return Verdict::pass().holding(self.tickets.clone());
        }
        Verdict::deny(Error::overloaded(format!(
            "{} calls are in flight, the limit of this capability",
            self.most
        )))
    }

    fn describe(&self) -> String {
        format!("{} of {} calls in flight", self.count(), self.most)
    }
}
