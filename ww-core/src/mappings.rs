use std::fs;
use std::sync::OnceLock;

use crate::error::Error;
use crate::supply::{Share, Supply};

/// Memory mappings that are set aside, and given back when this is dropped.
///
/// A process may have `vm.max_map_count` of them (65,530 by default), and it
/// is the instance allocator's and malloc's way to abort where one is refused.
/// So cells and programs count theirs beforehand, and what would be too many is
/// refused.
#[derive(Debug)]
pub(crate) struct Mappings {
    _share: Share,
}

impl Mappings {
    /// Sets `count` mappings of this process aside.
    ///
    /// # Errors
    ///
    /// [`Error::Full`].
    pub(crate) fn take(count: usize) -> Result<Self, Error> {
        static PROCESS: OnceLock<Supply> = OnceLock::new();
        let supply =
            PROCESS.get_or_init(|| Supply::new("memory mappings (vm.max_map_count)", most()));
        let _share = supply.take(count)?;
        Ok(Self { _share })
    }
}

/// Leaves a sixteenth for all else in the process: code, heaps, threads.
fn most() -> usize {
    let limit = fs::read_to_string("/proc/sys/vm/max_map_count");
    let limit = limit.ok().and_then(|text| text.trim().parse().ok());
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    // Where there is no such file, there is no such limit.
    limit.map_or(usize::MAX, |limit: usize| {
        (limit - limit / 16).saturating_sub(maps.lines().count())
    })
}
