use crate::{Epochs, Error, Fall};

/// Says whether the epoch that something was issued under is still current.
///
/// Asking costs one atomic load. A guard may be used from any thread.
#[derive(Clone, Debug)]
pub struct Guard {
    epochs: Epochs,
    issued: u64,
}

impl Guard {
    pub(crate) fn new(epochs: Epochs, issued: u64) -> Self {
        Self { epochs, issued }
    }

    /// Sequence number of the epoch that this guards.
    pub fn issued(&self) -> u64 {
        self.issued
    }

    /// The sequence of epochs that this guard looks at.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Whether the guarded epoch is the current one.
    pub fn is_current(&self) -> bool {
        self.epochs.seq() == self.issued
    }

    /// Why what it guards has fallen, once it has.
    pub(crate) fn fall(&self) -> Option<Fall> {
        let current = self.epochs.seq();
        (current != self.issued).then_some(Fall::Epoch {
            issued: self.issued,
            current,
        })
    }

    /// Refuses once the guarded epoch has passed.
    ///
    /// # Errors
    ///
    /// [`Error::StaleEpoch`].
    pub fn check(&self) -> Result<(), Error> {
        let current = self.epochs.seq();
        if current == self.issued {
            Ok(())
        } else {
            Err(Error::StaleEpoch {
                issued: self.issued,
                current,
            })
        }
    }
}
