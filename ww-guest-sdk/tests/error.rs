//! Errors on their way through a guest.

use std::io;

use ww_guest_sdk::Error;
use ww_guest_sdk::capnp::{self, ErrorKind};

fn io_error(error: capnp::Error) -> Error {
    io::Error::other(error).into()
}

#[test]
fn an_error_becomes_one_of_cap_n_proto_with_its_kind_and_its_text() {
    let gone = || capnp::Error::disconnected("it has gone".into());
    let overflow = "300".parse::<u8>().unwrap_err();
    for (error, kind, text) in [
        (gone().into(), ErrorKind::Disconnected, "it has gone"),
        (
            io_error(gone()),
            ErrorKind::Disconnected,
            "Disconnected: it has gone",
        ),
        (
            overflow.into(),
            ErrorKind::Failed,
            "number too large to fit in target type",
        ),
        ("just text".into(), ErrorKind::Failed, "just text"),
    ] {
        let error: Error = error;
        let converted = capnp::Error::from(error);
        assert_eq!((converted.kind, &*converted.extra), (kind, text));
    }
}

#[test]
fn an_error_is_had_as_the_standard_library_has_it() {
    let error = Error::from("300".parse::<u8>().unwrap_err()).into_boxed();
    assert!(error.is::<std::num::ParseIntError>());
}
