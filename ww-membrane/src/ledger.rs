use std::cell::{Cell, RefCell};

use crate::{Call, Calls, MethodCalls};

/// The most methods that a tally tells apart. Whoever calls made-up methods
/// fills no more than this.
const MOST: usize = 32;

/// Counts calls by their method.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// In the order in which they were first called. Most capabilities have a
    /// handful, so looking through them is quicker than hashing.
    methods: Vec<MethodCalls>,
    /// Calls of methods for which there was no more room.
    others: (u64, u64),
}

/// What a boundary remembers of what is no longer held across it, and who
/// waits for it to hold nothing.
#[derive(Default)]
pub(crate) struct Ledger {
    ids: Cell<u64>,
    past: RefCell<Tally>,
    waiting: RefCell<Vec<Box<dyn FnOnce()>>>,
}

impl Tally {
    pub(crate) fn count(&mut self, call: Call, passed: bool) {
        self.add(call, passed.into(), (!passed).into());
    }

    pub(crate) fn calls(&self) -> Calls {
        let (passed, denied) = self.others;
        Calls {
            methods: self.methods.clone(),
            other_passed: passed,
            other_denied: denied,
        }
    }

    fn add(&mut self, call: Call, passed: u64, denied: u64) {
        let known = self.methods.iter().position(|known| known.call == call);
        let (to_passed, to_denied) = match known {
            Some(at) => {
                let known = &mut self.methods[at];
                (&mut known.passed, &mut known.denied)
            }
            None if self.methods.len() == MOST => (&mut self.others.0, &mut self.others.1),
            None => {
                return self.methods.push(MethodCalls {
                    call,
                    passed,
                    denied,
                });
            }
        };
        *to_passed += passed;
        *to_denied += denied;
    }
}

impl Ledger {
    /// A number that was not given out before.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.replace(self.ids.get() + 1)
    }

    /// Moves the counts of something that is held no longer to the past ones.
    pub(crate) fn close(&self, tally: &RefCell<Tally>) {
        let tally = tally.take();
        let mut past = self.past.borrow_mut();
        for known in tally.methods {
            past.add(known.call, known.passed, known.denied);
        }
        past.others.0 += tally.others.0;
        past.others.1 += tally.others.1;
    }

    pub(crate) fn past(&self) -> Calls {
        self.past.borrow().calls()
    }

    pub(crate) fn wait(&self, then: Box<dyn FnOnce()>) {
        self.waiting.borrow_mut().push(then);
    }

    pub(crate) fn is_awaited(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Tells those who wait. They may do as they like, so no borrow is held.
    pub(crate) fn emptied(&self) {
        for then in self.waiting.take() {
            then();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_tells_a_bounded_number_of_methods_apart() {
        let mut tally = Tally::default();
        for method in 0..1000 {
            for _ in 0..2 {
                let interface = 1;
                tally.count(Call { interface, method }, method % 2 == 0);
            }
        }
        let calls = tally.calls();
        assert_eq!(calls.methods.len(), MOST);
        let others = 1000 - MOST as u64;
        assert_eq!((calls.other_passed, calls.other_denied), (others, others));
        assert_eq!((calls.passed(), calls.denied()), (1000, 1000));

        let ledger = Ledger::default();
        ledger.close(&RefCell::new(tally));
        assert_eq!(ledger.past(), calls);
    }
}
