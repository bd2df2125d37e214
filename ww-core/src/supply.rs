use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

/// How much of something that a process has so much of cells and programs may have, and
/// how much of that is set aside.
#[derive(Debug)]
pub(crate) struct Supply {
    of: &'static str,
    most: usize,
    taken: AtomicUsize,
}

/// What is set aside, and given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    count: usize,
    of: &'static Supply,
}

impl Supply {
    /// `most` of what is called `of`.
    pub(crate) const fn new(of: &'static str, most: usize) -> Self {
        Self {
            of,
            most,
            taken: AtomicUsize::new(0),
        }
    }

    /// Sets `count` aside.
    ///
    /// # Errors
    ///
    /// [`Error::Full`].
    pub(crate) fn take(&'static self, count: usize) -> Result<Share, Error> {
        self.taken
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                let more = taken.checked_add(count)?;
                (more <= self.most).then_some(more)
            })
            .map(|_| Share { count, of: self })
            .map_err(|taken| Error::Full {
                of: self.of,
                taken,
                most: self.most,
            })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more_than_there_is() {
        static SUPPLY: Supply = Supply::new("things", 10);
        let first = SUPPLY.take(7).expect("there are ten");
        let refused = SUPPLY.take(4).expect_err("there are three");
        assert!(matches!(
            refused,
            Error::Full {
                of: "things",
                taken: 7,
                most: 10
            }
        ));
        let second = SUPPLY.take(3).expect("there are three");
        assert!(SUPPLY.take(usize::MAX).is_err());
        drop(first);
        assert!(SUPPLY.take(7).is_ok());
        drop(second);
        assert_eq!(SUPPLY.taken.load(Ordering::Relaxed), 0);
    }
}
