use std::panic;
use std::sync::{Once, OnceLock};

use crate::recorder;

/// Bytes of what a panic says that are told the host.
const MOST: usize = 4 << 10;

/// Tells the host, over the guest's connection.
static TELL: OnceLock<fn(&str)> = OnceLock::new();

/// Has panics told by `tell`, before the trap that is not ours follows.
pub(crate) fn tell_by(tell: fn(&str)) {
    TELL.get_or_init(|| tell);
    hook();
}

/// Has panics told and recorded, or printed where no records are written.
pub(crate) fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let message = info.payload_as_str().unwrap_or("no message");
            let location = info.location().map(ToString::to_string);
            let location = location.as_deref().unwrap_or("an unknown place");
            if let Some(tell) = TELL.get() {
                let cut = &message[..message.floor_char_boundary(MOST)];
                tell(&format!("{cut}, at {location}"));
            }
            if !recorder::record("panic", message, Some(location)) {
                print(info);
            }
        }));
    });
}
