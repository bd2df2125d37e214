//! Generated from `wit/`. The poll and stream types are those of `wasip2`, so
//! that one list of pollables serves the connection, timers and standard
//! streams.

wit_bindgen::generate!({
    inline: "
        package wetware:guest-sdk;
        world guest {
            import wetware:streams/streams@0.1.0;
            import wetware:turn/turn@0.1.0;
        }
    ",
    path: ["wit/deps/io.wit", "wit/streams.wit", "wit/turn.wit"],
    world: "wetware:guest-sdk/guest",
    with: {
        "wasi:io/error@0.2.12": wasip2::io::error,
        "wasi:io/poll@0.2.12": wasip2::io::poll,
        "wasi:io/streams@0.2.12": wasip2::io::streams,
    },
    generate_all,
});

pub(crate) use wetware::streams::streams;
pub(crate) use wetware::turn::turn;
