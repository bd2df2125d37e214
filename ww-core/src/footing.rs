use std::sync::OnceLock;

use crate::error::Error;
use crate::mappings::Mappings;
use crate::supply::{Share, Supply};

/// Mappings of machine code that is loaded: the code, and what stands before
/// and behind it.
const CODE: usize = 3;

/// What machine code that is loaded has of the process, given back when this is dropped:
/// mappings, and the descriptor of the file that it is mapped from.
///
/// A process may often have no more than 1,024 descriptors, and its host fails where it
/// gets none.
#[derive(Debug)]
pub(crate) struct Footing {
    _mappings: Mappings,
    _descriptor: Share,
}

impl Footing {
    /// Sets it aside.
    ///
    /// # Errors
    ///
    /// [`Error::Full`].
    pub(crate) fn take() -> Result<Self, Error> {
        static PROCESS: OnceLock<Supply> = OnceLock::new();
        let descriptors =
            PROCESS.get_or_init(|| Supply::new("file descriptors (RLIMIT_NOFILE)", most()));
        Ok(Self {
            _mappings: Mappings::take(CODE)?,
            _descriptor: descriptors.take(1)?,
        })
    }
}

/// Half of those that the process may have, as it was when the first program was loaded.
#[cfg(target_os = "linux")]
fn most() -> usize {
    use rustix::process::{Resource, getrlimit};

    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit / 2).unwrap_or(usize::MAX)
    })
}

/// Code is not mapped from files elsewhere.
#[cfg(not(target_os = "linux"))]
fn most() -> usize {
    usize::MAX
}
