use std::cell::Cell;
use std::rc::Rc;

use capnp::Error;

use crate::{Call, Passage, Policy, Verdict};

/// Lets so many bytes of messages cross, in both directions together, and
/// refuses what does not fit into the rest.
///
/// - Calls and answers count, and so do calls from inside to what was handed
///   in: otherwise what is limited could be sent by a callback.
/// - A message counts as [`Passage::bytes`] says, 8 bytes at least. One that
///   does not fit is not counted, and smaller ones may still pass.
/// - An answer that does not fit is withheld. The call was executed then.
/// - The texts of errors do not count.
///
/// Clones share one budget.
#[derive(Clone, Debug)]
pub struct Bytes {
    left: Rc<Cell<u64>>,
}

impl Bytes {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        Self {
            left: Rc::new(Cell::new(bytes)),
        }
    }

    /// How many bytes may still cross.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Lets `bytes` more cross.
    pub fn add(&self, bytes: u64) {
        self.left.set(self.left.get().saturating_add(bytes));
    }
}

impl Policy for Bytes {
    fn inbound(&self, _: &Call) -> Verdict {
        Verdict::pass()
    }

    fn weighs(&self) -> bool {
        true
    }

    fn weigh(&self, passage: &Passage) -> Result<(), Error> {
        let (bytes, left) = (passage.bytes(), self.left.get());
        match left.checked_sub(bytes) {
            Some(rest) => {
                self.left.set(rest);
                Ok(())
            }
            None => Err(Error::overloaded(format!(
                "{} of {bytes} bytes does not fit the budget, of which {left} are left",
                if passage.is_answer() {
                    "an answer"
                } else {
                    "a call"
                },
            ))),
        }
    }

    fn describe(&self) -> String {
        format!("{} bytes left", self.left.get())
    }
}
