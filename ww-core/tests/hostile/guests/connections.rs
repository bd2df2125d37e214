//! With its RPC connection.

use std::sync::Arc;

use ww_core::Runtime;
use ww_core::cell::{Builder, Limit};
use ww_core::network::Offline;
use ww_core::session::Wetware;
use ww_membrane::{Admission, Epoch, Epochs, membrane};

use crate::case::{Case, Fate};
use crate::silent::silent;

pub(crate) fn cases() -> Vec<Case> {
    let caller = |what, told, set| {
        let case = Case::of(what, example_images::wasm("caller"), Fate::Exits(1));
        case.set(set).rpc_error(told)
    };
    vec![
        caller(
            "calls without end",
            "calls in flight, more than",
            |builder| unanswered(builder).args(["flight", "5000", "1", "5000"]),
        )
        .limit(|limits| limits.rpc.calls = 1000)
        .refused(Limit::Rpc(ww_rpc::Limit::Calls)),
        caller("calls of too many words", "words, more than", |builder| {
            unanswered(builder).args(["flight", "16", "100000", "16"])
        })
        .limit(|limits| limits.rpc.call_words = 1 << 17)
        .refused(Limit::Rpc(ww_rpc::Limit::CallWords)),
        caller(
            "more capabilities than it may hold",
            "capabilities, more",
            |builder| session(builder).args(["membrane", "seq", "1", "1"]),
        )
        .limit(|limits| limits.rpc.exports = 2)
        .refused(Limit::Rpc(ww_rpc::Limit::Exports)),
        caller(
            "a message of too many words",
            "words, more than",
            |builder| unanswered(builder).args(["seq", "1", "100000"]),
        )
        .limit(|limits| limits.rpc.message_words = 1 << 13)
        .refused(Limit::Rpc(ww_rpc::Limit::MessageWords)),
    ]
}

fn session(builder: Builder) -> Builder {
    builder.bootstrap(|local| {
        let session = Wetware::new(local, &Runtime::shared()?, Arc::new(Offline::new()));
        let epochs = Epochs::new(Epoch::default());
        Ok(membrane(epochs, Admission::open(), session))
    })
}

fn unanswered(builder: Builder) -> Builder {
    builder.bootstrap(|_| Ok(silent()))
}
