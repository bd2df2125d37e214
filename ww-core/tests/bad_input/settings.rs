//! Settings that cannot be honoured.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use ww_core::Error;
use ww_core::cell::{Builder, Input, Output, Transport};

use crate::cases::{case, check};
use crate::fate::guest;

#[test]
fn settings_that_cannot_be_honoured_are_refused_by_name() {
    let latin = || OsString::from_vec(b"caf\xe9".to_vec());
    let stdio = || guest("probe-stdio").transport(Transport::Stdio);
    check([
        case!(
            "nothing to run",
            Builder::new(),
            Error::NothingToRun,
            ["image or a program"]
        ),
        case!(
            "an argument that is not UTF-8",
            guest("hello").args(["fine".into(), latin()]),
            Error::Argument { index: 2, .. },
            ["argument 2", "not UTF-8", "caf\u{fffd}"],
        ),
        case!(
            "a name that is not UTF-8",
            guest("hello").argv([latin()]),
            Error::Argument { index: 0, .. },
            ["argument 0", "not UTF-8"],
        ),
        case!(
            "a variable without a name",
            guest("hello").env("", "value"),
            Error::Environment { .. },
            ["empty"],
        ),
        case!(
            "a variable with = in its name",
            guest("hello").env("A=B", "value"),
            Error::Environment { .. },
            ["A=B", "contains '='"],
        ),
        case!(
            "a variable whose name is not UTF-8",
            guest("hello").env(latin(), "value"),
            Error::Environment { .. },
            ["caf\u{fffd}", "name", "not UTF-8"],
        ),
        case!(
            "a variable whose value is not UTF-8",
            guest("hello").env("DRINK", latin()),
            Error::Environment { .. },
            ["DRINK", "value", "not UTF-8"],
        ),
        case!(
            "RPC over a stdin that is set",
            stdio().stdin(Input::empty()),
            Error::StdioTaken { stream: "stdin" },
            ["stdin", "RPC"],
        ),
        case!(
            "RPC over a stdout that is set",
            stdio().stdout(Output::discard()),
            Error::StdioTaken { stream: "stdout" },
            ["stdout", "RPC"],
        ),
        case!(
            "a bootstrap that cannot be made",
            guest("caller").bootstrap(|_| -> Result<capnp::capability::Client, _> {
                Err(Error::Bootstrap(capnp::Error::failed(
                    "the vault is shut".into(),
                )))
            }),
            Error::Bootstrap(_),
            ["bootstrap", "the vault is shut"],
        ),
    ]);
}
