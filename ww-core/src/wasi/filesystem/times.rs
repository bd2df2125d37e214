use std::time::{Duration, SystemTime};

use crate::wasi::wit::clocks::wall_clock::Datetime;
use crate::wasi::wit::filesystem::types::{ErrorCode, NewTimestamp};

/// The times to set, since 1970; what is absent stays.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) accessed: Option<Duration>,
    pub(super) modified: Option<Duration>,
}

impl Times {
    /// Refuses what the system's own times have no room for, with Wasmtime's
    /// code.
    pub(super) fn new(
        now: SystemTime,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> Result<Self, ErrorCode> {
        let time = |stamp| match stamp {
            NewTimestamp::NoChange => Ok(None),
            NewTimestamp::Now => {
                let since = now.duration_since(SystemTime::UNIX_EPOCH);
                Ok(Some(since.unwrap_or_default()))
            }
            NewTimestamp::Timestamp(time) => since(time).map(Some),
        };
        Ok(Self {
            accessed: time(accessed)?,
            modified: time(modified)?,
        })
    }
}

fn since(time: Datetime) -> Result<Duration, ErrorCode> {
    let rest = Duration::from_nanos(time.nanoseconds.into());
    let since = Duration::from_secs(time.seconds).checked_add(rest);
    let since = since.filter(|since| SystemTime::UNIX_EPOCH.checked_add(*since).is_some());
    since.ok_or(ErrorCode::Overflow)
}
