//! A vat in one test whose peer is written by hand, message by message.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use capnp::ErrorKind;
use capnp::message::ReaderOptions;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::message;
use futures_lite::{AsyncRead, AsyncWriteExt};
use ww_rpc::peer_capnp::executor;
use ww_rpc::{Limits, Side, Traffic, Vat};

use super::{Log, Outcome, Slot, rpc, serve_executor, settle, untyped};

/// `Executor.runBytes`, which is never answered.
pub const HANGS: u16 = 0;
/// `Executor.echo`, which is answered at once.
pub const ECHO: u16 = 1;

/// A vat that serves an executor to a peer that says whatever it likes.
pub struct Served {
    pub vat: Slot<Outcome>,
    pub to_vat: Option<piper::Writer>,
    answers: piper::Reader,
    pub traffic: Arc<Traffic>,
    limits: Limits,
    pub log: Log,
}

impl Served {
    pub fn new(limits: Limits) -> Self {
        Self::begun(limits, |_| ()).0
    }

    /// The same with what `begin` makes of the vat.
    pub fn begun<T>(limits: Limits, begin: impl FnOnce(&mut Vat) -> T) -> (Self, T) {
        Self::serving(limits, serve_executor, begin)
    }

    /// The same with an executor of the caller's.
    pub fn serving<T>(
        limits: Limits,
        serve: impl FnOnce(&Log) -> executor::Client,
        begin: impl FnOnce(&mut Vat) -> T,
    ) -> (Self, T) {
        let (reader, to_vat) = piper::pipe(1 << 16);
        let (answers, writer) = piper::pipe(1 << 16);
        let log = Log::default();
        let bootstrap = Some(untyped(serve(&log)));
        let mut vat = Vat::new(reader, writer, Side::Server, bootstrap, limits);
        let begun = begin(&mut vat);
        let served = Self {
            traffic: vat.traffic(),
            limits,
            vat: Slot::new(vat),
            to_vat: Some(to_vat),
            answers,
            log,
        };
        (served, begun)
    }

    /// Says `bytes` and reads no answer.
    pub fn say(&mut self, bytes: Vec<u8>) {
        let mut to_vat = self.to_vat.take().expect("connected");
        let mut saying = Slot::new(async move {
            let _ = to_vat.write_all(&bytes).await;
            to_vat
        });
        settle(|cx| {
            saying.poll(cx);
            self.vat.poll(cx);
        });
        self.to_vat = saying.output;
    }

    /// The ids of the calls that have been answered.
    pub fn heard(&mut self) -> Vec<u32> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        settle(|cx| {
            self.vat.poll(cx);
            let mut answers = Pin::new(&mut self.answers);
            while let Poll::Ready(Ok(count @ 1..)) = answers.as_mut().poll_read(cx, &mut chunk) {
                bytes.extend_from_slice(&chunk[..count]);
            }
        });
        let mut bytes = &bytes[..];
        let mut answered = Vec::new();
        while !bytes.is_empty() {
            let said = capnp::serialize::read_message(&mut bytes, ReaderOptions::new());
            let said = said.expect("whole messages");
            let said: message::Reader<'_> = said.get_root().expect("root");
            if let Ok(message::Return(Ok(answer))) = said.which() {
                answered.push(answer.get_answer_id());
            }
        }
        answered
    }

    pub fn lives(&self) -> bool {
        self.vat.output.is_none()
    }

    /// That the connection has ended for a limit, and that nothing is left.
    pub fn assert_overloaded(mut self, name: &str, expected: &str) {
        let outcome = self.vat.output.take();
        let error = outcome
            .unwrap_or_else(|| panic!("{name}: the vat goes on"))
            .expect_err(name);
        assert_eq!(error.kind, ErrorKind::Overloaded, "{name}: {error}");
        assert!(error.extra.contains(expected), "{name}: {error}");
        let limit = self.traffic.exceeded().expect(name);
        let (_, bound) = error.extra.rsplit_once(' ').expect("a sentence");
        assert_eq!(
            bound,
            self.limits.bound(limit).to_string(),
            "{name}: {limit}"
        );
        assert_eq!(self.log.alive(), 0, "{name}: something leaked");
    }
}

pub fn limits(set: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits);
    limits
}

pub fn bootstrap(id: u32) -> Vec<u8> {
    rpc(|m| m.init_bootstrap().set_question_id(id))
}

pub fn finish(id: u32) -> Vec<u8> {
    rpc(|m| m.init_finish().set_question_id(id))
}

/// A call on the answer to `target`, which passes the answers to `params`.
pub fn call(id: u32, method: u16, target: u32, params: &[u32], text: &str) -> Vec<u8> {
    rpc(|m| {
        let mut call = m.init_call();
        call.set_question_id(id);
        call.set_interface_id(executor::Client::TYPE_ID);
        call.set_method_id(method);
        let mut answer = call.reborrow().init_target().init_promised_answer();
        answer.set_question_id(target);
        if target > 0 {
            answer.init_transform(1).get(0).set_get_pointer_field(0);
        }
        let mut payload = call.init_params();
        let mut table = payload.reborrow().init_cap_table(params.len() as u32);
        for (index, param) in params.iter().enumerate() {
            let entry = table.reborrow().get(index as u32);
            entry.init_receiver_answer().set_question_id(*param);
        }
        let mut echo: executor::echo_params::Builder<'_> = payload.get_content().init_as();
        echo.set_message(text);
    })
}

/// A call on the bootstrap, whose parameters come with promises of the peer's.
pub fn call_with(id: u32, method: u16, promises: &[u32]) -> Vec<u8> {
    rpc(|m| {
        let mut call = m.init_call();
        call.set_question_id(id);
        call.set_interface_id(executor::Client::TYPE_ID);
        call.set_method_id(method);
        let target = call.reborrow().init_target();
        target.init_promised_answer().set_question_id(0);
        let payload = call.init_params();
        let mut table = payload.init_cap_table(promises.len() as u32);
        for (index, promise) in promises.iter().enumerate() {
            let mut entry = table.reborrow().get(index as u32);
            entry.set_sender_promise(*promise);
        }
    })
}

/// Resolves a promise to the first field of an answer.
pub fn to_answer(promise: u32, answer: u32) -> Vec<u8> {
    rpc(|m| {
        let mut resolve = m.init_resolve();
        resolve.set_promise_id(promise);
        let mut to = resolve.init_cap().init_receiver_answer();
        to.set_question_id(answer);
        to.init_transform(1).get(0).set_get_pointer_field(0);
    })
}

pub fn hangs(id: u32) -> Vec<u8> {
    call(id, HANGS, 0, &[], "")
}
