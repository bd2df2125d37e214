//! A peer that knows the protocol, keeps to it for the most part, and makes up
//! each message by chance.

use capnp::capability::DynClientHook;
use capnp::message::{Builder, ReaderOptions};
use capnp::traits::{HasTypeId, ImbueMut};
use capnp_rpc::rpc_capnp::{
    call, cap_descriptor, disembargo, exception, message, message_target, payload, promised_answer,
    resolve, return_,
};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{byte_stream, executor, host, process};

use crate::chance::Chance;

/// What is called: interface and method.
const METHODS: &[(u64, u16)] = &[
    (executor::Client::TYPE_ID, 0),
    (executor::Client::TYPE_ID, 1),
    (executor::Client::TYPE_ID, 1),
    (executor::Client::TYPE_ID, 2),
    (executor::Client::TYPE_ID, 9),
    (program::Client::TYPE_ID, 0),
    (program::Client::TYPE_ID, 0),
    (program::Client::TYPE_ID, 0),
    (process::Client::TYPE_ID, 0),
    (process::Client::TYPE_ID, 1),
    (process::Client::TYPE_ID, 3),
    (process::Client::TYPE_ID, 3),
    (process::Client::TYPE_ID, 4),
    (process::Client::TYPE_ID, 4),
    (process::Client::TYPE_ID, 4),
    (process::Client::TYPE_ID, 5),
    (byte_stream::Client::TYPE_ID, 3),
    (byte_stream::Client::TYPE_ID, 4),
    (host::Client::TYPE_ID, 0),
];

/// What the peer knows of the conversation.
#[derive(Default)]
pub(crate) struct Peer {
    /// Resolves promises to what it has of the vat, and answers with it.
    circles: bool,
    /// The vat's questions that wait for an answer.
    asked: Vec<u32>,
    /// Capabilities of the vat's, once for each time that they were given.
    granted: Vec<u32>,
    /// The peer's own questions that are not finished.
    open: Vec<u32>,
    /// The peer's own capabilities that the vat has.
    offered: Vec<u32>,
    /// Those of them that are promises, and not resolved.
    promised: Vec<u32>,
    embargoes: Vec<u32>,
    unread: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(circles: bool) -> Self {
        Self {
            circles,
            ..Self::default()
        }
    }

    /// Takes in what the vat has written.
    ///
    /// # Panics
    ///
    /// When that is no message of the protocol.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        loop {
            let mut rest = &self.unread[..];
            // A message that is not whole yet looks like one that is cut short.
            let Ok(said) = capnp::serialize::read_message(&mut rest, ReaderOptions::new()) else {
                return;
            };
            let read = self.unread.len() - rest.len();
            let said: message::Reader<'_> = said.get_root().expect("a message has a root");
            self.note(said).expect("the vat writes whole messages");
            self.unread.drain(..read);
        }
    }

    fn note(&mut self, said: message::Reader<'_>) -> Result<(), capnp::Error> {
        match said.which()? {
            message::Bootstrap(bootstrap) => self.asked.push(bootstrap?.get_question_id()),
            message::Call(call) => {
                let call = call?;
                self.asked.push(call.get_question_id());
                self.receive(call.get_params()?)?;
            }
            message::Return(answer) => {
                if let return_::Results(results) = answer?.which()? {
                    self.receive(results?)?;
                }
            }
            message::Resolve(resolved) => {
                if let resolve::Cap(descriptor) = resolved?.which()? {
                    self.receive_one(descriptor?)?;
                }
            }
            message::Release(release) => {
                let id = release?.get_id();
                self.offered.retain(|offered| *offered != id);
                self.promised.retain(|promised| *promised != id);
            }
            message::Disembargo(disembargo) => {
                let context = disembargo?.get_context();
                if let disembargo::context::SenderLoopback(id) = context.which()? {
                    self.embargoes.push(id);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, payload: payload::Reader<'_>) -> Result<(), capnp::Error> {
        let table = payload.get_cap_table()?;
        table.iter().try_for_each(|entry| self.receive_one(entry))
    }

    fn receive_one(&mut self, entry: cap_descriptor::Reader<'_>) -> Result<(), capnp::Error> {
        if let cap_descriptor::SenderHosted(id) | cap_descriptor::SenderPromise(id) =
            entry.which()?
        {
            self.granted.push(id);
        }
        Ok(())
    }

    /// The bytes of one message.
    pub(crate) fn say(&mut self, chance: &mut Chance) -> Vec<u8> {
        let mut builder = Builder::new_default();
        self.fill(chance, builder.init_root());
        let mut bytes = Vec::new();
        capnp::serialize::write_message(&mut bytes, &builder).expect("memory does not fail");
        bytes
    }

    fn fill(&mut self, chance: &mut Chance, mut message: message::Builder<'_>) {
        let mut kind = chance.below(100);
        // There must be something to speak of, or the conversation soon ends.
        let idle = match kind {
            45..65 => self.asked.is_empty(),
            75..84 => self.promised.is_empty(),
            84..90 => self.granted.is_empty(),
            90..95 => self.embargoes.is_empty(),
            95..98 => !chance.one_in(8),
            _ => false,
        };
        if idle && !chance.one_in(100) {
            kind = chance.below(45);
        }
        match kind {
            0..6 => {
                let id = self.new_question(chance);
                message.init_bootstrap().set_question_id(id);
            }
            6..45 => self.call(chance, message.init_call()),
            45..65 => self.answer(chance, message.init_return()),
            65..75 => {
                let id = take(chance, &mut self.open);
                let mut finish = message.init_finish();
                finish.set_question_id(id);
                finish.set_release_result_caps(chance.one_in(2));
                finish.set_require_early_cancellation_workaround(chance.one_in(2));
            }
            75..84 => {
                let id = take(chance, &mut self.promised);
                let mut resolve = message.init_resolve();
                resolve.set_promise_id(id);
                match chance.one_in(4) {
                    true => self.exception(chance, resolve.init_exception()),
                    false => self.own_descriptor(chance, resolve.init_cap()),
                }
            }
            84..90 => {
                let id = take(chance, &mut self.granted);
                let mut release = message.init_release();
                release.set_id(id);
                release.set_reference_count(1 + u32::from(chance.one_in(30)));
            }
            90..95 => {
                let mut disembargo = message.init_disembargo();
                self.target(chance, disembargo.reborrow().init_target());
                let mut context = disembargo.init_context();
                match chance.below(100) {
                    0..90 => context.set_receiver_loopback(take(chance, &mut self.embargoes)),
                    90..98 => context.set_sender_loopback(chance.small(4)),
                    98 => context.set_accept(()),
                    _ => context.set_provide(chance.small(4)),
                }
            }
            95 => self.fill(chance, message.init_unimplemented()),
            96..98 => match chance.below(5) {
                0 => message.init_provide().set_question_id(chance.small(4)),
                1 => message.init_accept().set_question_id(chance.small(4)),
                2 => message.init_join().set_question_id(chance.small(4)),
                3 => drop(message.init_obsolete_save()),
                _ => drop(message.init_obsolete_delete()),
            },
            98 if chance.one_in(4) => self.exception(chance, message.reborrow().init_abort()),
            _ => self.call(chance, message.init_call()),
        }
    }

    fn new_question(&mut self, chance: &mut Chance) -> u32 {
        let free = (0..).find(|id| !self.open.contains(id)).unwrap_or_default();
        let id = match chance.one_in(300) {
            true => chance.id(&self.open),
            false => free,
        };
        self.open.push(id);
        id
    }

    fn call(&mut self, chance: &mut Chance, mut call: call::Builder<'_>) {
        self.target(chance, call.reborrow().init_target());
        let (interface, method) = METHODS[chance.below(METHODS.len())];
        call.set_interface_id(interface);
        call.set_method_id(method);
        call.set_no_promise_pipelining(chance.one_in(30));
        let mut to = call.reborrow().init_send_results_to();
        match chance.below(100) {
            0..8 => to.set_yourself(()),
            8 if chance.one_in(10) => drop(to.init_third_party()),
            _ => to.set_caller(()),
        }
        self.payload(chance, call.reborrow().init_params(), true);
        call.set_question_id(self.new_question(chance));
    }

    fn answer(&mut self, chance: &mut Chance, mut answer: return_::Builder<'_>) {
        answer.set_answer_id(take(chance, &mut self.asked));
        answer.set_release_param_caps(chance.one_in(2));
        answer.set_no_finish_needed(chance.one_in(4));
        match chance.below(40) {
            0..28 => self.payload(chance, answer.init_results(), self.circles),
            28..34 => self.exception(chance, answer.init_exception()),
            34 => answer.set_canceled(()),
            35 => answer.set_results_sent_elsewhere(()),
            36..39 => answer.set_take_from_other_question(chance.id(&self.open)),
            _ => drop(answer.init_accept_from_third_party()),
        }
    }

    fn target(&mut self, chance: &mut Chance, mut target: message_target::Builder<'_>) {
        let here = chance.one_in(2) && (!self.granted.is_empty() || chance.one_in(100));
        match here {
            true => target.set_imported_cap(chance.id(&self.granted)),
            false => self.promised_answer(chance, target.init_promised_answer()),
        }
    }

    fn promised_answer(&self, chance: &mut Chance, mut answer: promised_answer::Builder<'_>) {
        answer.set_question_id(chance.id(&self.open));
        let len = [0, 1, 1, 1, 2, 3][chance.below(6)];
        let mut transform = answer.init_transform(len);
        for index in 0..len {
            match chance.one_in(10) {
                true => transform.reborrow().get(index).set_noop(()),
                false => {
                    let field = [0, 0, 0, 1, 7][chance.below(5)];
                    transform.reborrow().get(index).set_get_pointer_field(field);
                }
            }
        }
    }

    fn payload(
        &mut self,
        chance: &mut Chance,
        mut payload: payload::Builder<'_>,
        of_the_vat: bool,
    ) {
        let len = [0, 1, 1, 1, 2, 3][chance.below(6)];
        let mut table = payload.reborrow().init_cap_table(len);
        for index in 0..len {
            let entry = table.reborrow().get(index);
            match of_the_vat {
                true => self.descriptor(chance, entry),
                false => self.own_descriptor(chance, entry),
            }
        }
        // A pointer says which entry it means, and there may be no such entry.
        let mut hooks: Vec<_> = (0..chance.below(3)).map(|_| None).collect();
        let mut content = payload.reborrow().get_content();
        content.imbue_mut(&mut hooks);
        match chance.below(12) {
            0..3 => {
                let mut echo: executor::echo_params::Builder<'_> = content.init_as();
                echo.set_message(&"text"[..chance.below(5)]);
            }
            3..7 => {
                let mut spawn: program::spawn_params::Builder<'_> = content.init_as();
                let args = chance.small(3);
                spawn.reborrow().init_options().init_args(args);
                let mut bootstrap = spawn.init_bootstrap();
                bootstrap.set_as_capability(stand_in());
            }
            7..11 => {
                let results: process::bootstrap_results::Builder<'_> = content.init_as();
                results.init_cap().set_as_capability(stand_in());
            }
            _ => {}
        }
    }

    fn descriptor(&mut self, chance: &mut Chance, mut entry: cap_descriptor::Builder<'_>) {
        match chance.below(300) {
            0..10 => entry.set_none(()),
            10..80 => entry.set_sender_hosted(self.offer(chance)),
            80..160 => {
                let id = self.offer(chance);
                self.promised.push(id);
                entry.set_sender_promise(id);
            }
            160..220 => entry.set_receiver_hosted(chance.id(&self.granted)),
            220..299 => self.promised_answer(chance, entry.init_receiver_answer()),
            _ => {
                let mut third = entry.init_third_party_hosted();
                third.set_vine_id(chance.small(4));
            }
        }
    }

    /// Of a capability of the peer's own, unless it goes in circles.
    fn own_descriptor(&mut self, chance: &mut Chance, mut entry: cap_descriptor::Builder<'_>) {
        match self.circles {
            true => self.descriptor(chance, entry),
            false => entry.set_sender_hosted(self.offer(chance)),
        }
    }

    fn offer(&mut self, chance: &mut Chance) -> u32 {
        let id = match chance.one_in(2) {
            true => chance.id(&self.offered),
            false => chance.small(12),
        };
        self.offered.push(id);
        id
    }

    fn exception(&mut self, chance: &mut Chance, mut exception: exception::Builder<'_>) {
        exception.set_reason("made up");
        exception.set_type(match chance.below(4) {
            0 => exception::Type::Failed,
            1 => exception::Type::Overloaded,
            2 => exception::Type::Disconnected,
            _ => exception::Type::Unimplemented,
        });
    }
}

/// One of `known`, which is in use no longer.
fn take(chance: &mut Chance, known: &mut Vec<u32>) -> u32 {
    let id = chance.id(known);
    if let Some(at) = known.iter().position(|known| *known == id) {
        known.swap_remove(at);
    }
    id
}

/// Stands for an entry of the table, whatever that says.
fn stand_in() -> Box<DynClientHook> {
    capnp_rpc::new_broken_cap(capnp::Error::failed("a stand-in".into())).hook
}
