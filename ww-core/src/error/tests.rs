use capnp::ErrorKind::{Disconnected, Failed, Overloaded, Unimplemented};

use super::*;

fn broken() -> std::io::Error {
    std::io::Error::other("broken")
}

fn because() -> Cause {
    Arc::new(broken())
}

fn limit() -> Error {
    Error::Limit {
        limit: Limit::Cpu,
        bound: 1,
    }
}

fn ended(why: Option<Error>) -> Error {
    Error::Ended {
        why: why.map(Arc::new),
    }
}

#[test]
fn an_error_has_the_kind_that_it_has_over_the_wire() {
    let trap = Error::Trap {
        message: "unreachable".into(),
        panic: None,
        backtrace: String::new(),
        refused: None,
    };
    let cases = [
        (Error::NothingToRun, Failed),
        (Error::Engine(because()), Failed),
        (
            Error::Cache {
                path: "cache".into(),
                source: Arc::new(broken()),
            },
            Failed,
        ),
        (
            Error::Full {
                of: "memory mappings",
                taken: 1,
                most: 1,
            },
            Overloaded,
        ),
        (Error::NotAComponent { reason: "text" }, Failed),
        (Error::Compile(because()), Failed),
        (Error::Import { names: Vec::new() }, Failed),
        (Error::Link(because()), Failed),
        (Error::NoEntry, Failed),
        (
            Error::Argument {
                index: 1,
                lossy: "?".into(),
            },
            Failed,
        ),
        (
            Error::Environment {
                name: "A".into(),
                reason: "is not UTF-8",
            },
            Failed,
        ),
        (
            Error::Mount {
                path: "/".into(),
                reason: "is taken",
            },
            Failed,
        ),
        (Error::StdioTaken { stream: "stdin" }, Failed),
        (Error::Instantiate(because()), Failed),
        (
            Error::Bootstrap(capnp::Error::overloaded("no".into())),
            Failed,
        ),
        (trap.clone(), Failed),
        (limit(), Overloaded),
        (Error::TooDeep { most: 64 }, Overloaded),
        (
            Error::Panicked {
                message: "no".into(),
            },
            Failed,
        ),
        (Error::Killed, Disconnected),
        (Error::Dropped, Disconnected),
        (ended(None), Disconnected),
        (ended(Some(trap)), Disconnected),
        (ended(Some(limit())), Overloaded),
        (Error::Worker(Arc::new(broken())), Failed),
        (
            Error::Stdio {
                stream: "stdout",
                source: Arc::new(broken()),
            },
            Failed,
        ),
        (
            Error::Rpc(capnp::Error::unimplemented("no".into())),
            Unimplemented,
        ),
        (Error::other("mine"), Failed),
        (ended(Some(Error::Exited { code: 1 })), Disconnected),
    ];
    for (error, kind) in cases {
        assert_eq!(error.kind(), kind, "{error:?}");
        let chain = error.chain();
        let wire = capnp::Error::from(error);
        assert_eq!(wire.kind, kind, "{wire}");
        if kind != Unimplemented && !chain.contains("panicked") {
            assert_eq!(wire.extra, chain);
        }
    }
}

#[test]
fn a_chain_has_the_causes() {
    let error = Error::Rpc(capnp::Error::failed("why".into()));
    assert_eq!(error.to_string(), "a call to the cell failed");
    assert_eq!(error.chain(), "a call to the cell failed: Failed: why");
    assert_eq!(Error::other(Error::other(broken())).chain(), "broken");
    assert_eq!(
        ended(Some(Error::Killed)).chain(),
        "the cell has ended: the cell was killed"
    );
}

#[test]
fn what_a_panic_of_the_hosts_said_stays_with_it() {
    let panicked = Error::Panicked {
        message: "secret".into(),
    };
    for error in [panicked.clone(), ended(Some(panicked))] {
        assert!(error.chain().contains("secret"));
        let told = capnp::Error::from(error).extra;
        let text = "the host panicked while it ran the cell: its log has why";
        assert!(told.ends_with(text), "{told}");
    }
}
