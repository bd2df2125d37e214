use std::sync::OnceLock;

/// Writes a record of what ends the guest: whose word it is, what that says, and where
/// it came from.
type Recorder = fn(&str, &str, Option<&str>);

static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Has what ends the guest recorded, in place of text. Without this, nothing of it is
/// in a guest.
#[cfg(feature = "tracing")]
pub(crate) fn set(recorder: Recorder) {
    RECORDER.get_or_init(|| recorder);
}

/// Records it, where records are written.
pub(crate) fn record(target: &str, message: &str, location: Option<&str>) -> bool {
    let recorder = RECORDER.get();
    recorder
        .map(|record| record(target, message, location))
        .is_some()
}
