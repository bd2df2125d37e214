use std::panic;

/// Bytes of what a panic says that are reported.
const MOST: usize = 4 << 10;

/// Reports panics to the host, by `tell` and in standard error. The trap that
/// follows is not ours.
pub(crate) fn report(tell: fn(&str)) {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let location = info.location().map(ToString::to_string);
        let location = location.as_deref().unwrap_or("an unknown place");
        let cut = &message[..message.floor_char_boundary(MOST)];
        tell(&format!("{cut}, at {location}"));
        if !told(message, location) {
            print(info);
        }
    }));
}

#[cfg(feature = "tracing")]
fn told(message: &str, location: &str) -> bool {
    crate::logging::panicked(message, location)
}

#[cfg(not(feature = "tracing"))]
fn told(_: &str, _: &str) -> bool {
    false
}
