//! Raw bindings of `wetware:streams`, as somebody without `ww-guest-sdk` would
//! have generated them.

mod line;

wit_bindgen::generate!({
    path: ["../../../wit/deps/io.wit", "../../../wit/streams.wit"],
    world: "wetware:streams/guest",
    with: {
        "wasi:io/error@0.2.12": wasip2::io::error,
        "wasi:io/poll@0.2.12": wasip2::io::poll,
        "wasi:io/streams@0.2.12": wasip2::io::streams,
    },
    generate_all,
});

pub use line::Line;
pub use wetware::streams::streams::{Connection, create_connection};
