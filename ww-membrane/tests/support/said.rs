//! What a hostile peer says, message by message, to a host whose bootstrap
//! capability is a `Program`.

use capnp::capability::{DynClientHook, FromClientHook};
use capnp::message::Builder;
use capnp::traits::{HasTypeId, ImbueMut};
use capnp::{Error, any_pointer, any_pointer_list};
use capnp_rpc::rpc_capnp::{cap_descriptor, message, payload, resolve};
use ww_rpc::cell_capnp::program;
use ww_rpc::peer_capnp::{host, process};

/// The bytes of one message.
pub(crate) fn rpc(fill: impl FnOnce(message::Builder<'_>)) -> Vec<u8> {
    let mut builder = Builder::new_default();
    fill(builder.init_root());
    let mut bytes = Vec::new();
    capnp::serialize::write_message(&mut bytes, &builder).unwrap();
    bytes
}

/// Question 0: the bootstrap capability.
pub(crate) fn bootstrap() -> Vec<u8> {
    rpc(|message| message.init_bootstrap().set_question_id(0))
}

/// Writes content with capabilities, whose descriptors are promises of the
/// peer's from `first` on.
pub(crate) fn promises(
    payload: payload::Builder<'_>,
    first: u32,
    fill: impl FnOnce(any_pointer::Builder<'_>),
) {
    let mut payload = payload;
    let mut caps = Vec::new();
    {
        let mut content = payload.reborrow().get_content();
        content.imbue_mut(&mut caps);
        fill(content);
    }
    let mut table = payload.init_cap_table(caps.len() as u32);
    for index in 0..caps.len() as u32 {
        table
            .reborrow()
            .get(index)
            .set_sender_promise(first + index);
    }
}

pub(crate) fn stand_in() -> Box<DynClientHook> {
    capnp_rpc::new_broken_cap(Error::failed("a stand-in".into())).hook
}

/// Question `id`: a call of the bootstrap.
fn call(
    id: u32,
    interface: u64,
    method: u16,
    params: impl FnOnce(payload::Builder<'_>),
) -> Vec<u8> {
    rpc(|message| {
        let mut call = message.init_call();
        call.set_question_id(id);
        call.set_interface_id(interface);
        call.set_method_id(method);
        let target = call.reborrow().init_target();
        target.init_promised_answer().set_question_id(0);
        params(call.init_params());
    })
}

/// Question `id`: `Program.spawn` of the bootstrap.
fn spawn_with(id: u32, params: impl FnOnce(payload::Builder<'_>)) -> Vec<u8> {
    call(id, program::Client::TYPE_ID, 0, params)
}

/// The same, with promise `promise`.
pub(crate) fn spawn(id: u32, promise: u32) -> Vec<u8> {
    spawn_with(id, |payload| {
        promises(payload, promise, |content| {
            let params: program::spawn_params::Builder<'_> = content.init_as();
            params.init_bootstrap().set_as_capability(stand_in());
        });
    })
}

/// The same, with the first field of answer `answer`.
pub(crate) fn spawn_of(id: u32, answer: u32) -> Vec<u8> {
    spawn_with(id, |payload| {
        of_answer(payload, answer, |content| {
            let params: program::spawn_params::Builder<'_> = content.init_as();
            params.init_bootstrap().set_as_capability(stand_in());
        })
    })
}

/// The same, with an argument of so many bytes.
pub(crate) fn spawn_long(id: u32, promise: u32, bytes: usize) -> Vec<u8> {
    spawn_with(id, |payload| {
        promises(payload, promise, |content| {
            let mut params: program::spawn_params::Builder<'_> = content.init_as();
            let mut args = params.reborrow().init_options().init_args(1);
            args.set(0, "x".repeat(bytes));
            params.init_bootstrap().set_as_capability(stand_in());
        });
    })
}

/// The same, with a table of capabilities whose entries have no words.
pub(crate) fn spawn_with_empty(id: u32, capabilities: u32) -> Vec<u8> {
    let mut bytes = spawn_with(id, |payload| {
        payload.init_cap_table(0);
    });
    // The tag of the empty table is last.
    let tag = bytes.len() - 8;
    bytes[tag..].copy_from_slice(&(u64::from(capabilities) << 2).to_le_bytes());
    bytes
}

/// Question `id`: `Host.addrs` of the bootstrap, with promise `promise` beside
/// its parameters.
pub(crate) fn addrs_with(id: u32, promise: u32) -> Vec<u8> {
    call(id, host::Client::TYPE_ID, 1, |payload| {
        let mut table = payload.init_cap_table(1);
        table.reborrow().get(0).set_sender_promise(promise);
    })
}

/// Question `id`: a call without parameters on the first field of an answer.
pub(crate) fn call_on(id: u32, answer: u32, interface: u64, method: u16) -> Vec<u8> {
    rpc(|message| {
        let mut call = message.init_call();
        call.set_question_id(id);
        call.set_interface_id(interface);
        call.set_method_id(method);
        let mut target = call.init_target().init_promised_answer();
        target.set_question_id(answer);
        target.init_transform(1).get(0).set_get_pointer_field(0);
    })
}

/// `Process.bootstrap` of the process in answer `answer`, which gives back what
/// was handed in.
pub(crate) fn give_back(id: u32, answer: u32) -> Vec<u8> {
    call_on(id, answer, process::Client::TYPE_ID, 4)
}

/// `Host.id` of what answer `answer` gave back.
pub(crate) fn id_of(id: u32, answer: u32) -> Vec<u8> {
    call_on(id, answer, host::Client::TYPE_ID, 0)
}

pub(crate) fn resolves(promise: u32, to: impl FnOnce(resolve::Builder<'_>)) -> Vec<u8> {
    rpc(|message| {
        let mut resolve = message.init_resolve();
        resolve.set_promise_id(promise);
        to(resolve);
    })
}

pub(crate) fn to_promise(promise: u32, other: u32) -> Vec<u8> {
    resolves(promise, |resolve| {
        resolve.init_cap().set_sender_promise(other)
    })
}

pub(crate) fn to_answer(promise: u32, answer: u32) -> Vec<u8> {
    resolves(promise, |resolve| {
        let mut to = resolve.init_cap().init_receiver_answer();
        to.set_question_id(answer);
        to.init_transform(1).get(0).set_get_pointer_field(0);
    })
}

/// Question `id`: `Host.executor` of what the host has exported.
pub(crate) fn executor_of(id: u32, export: u32) -> Vec<u8> {
    rpc(|message| {
        let mut call = message.init_call();
        call.set_question_id(id);
        call.set_interface_id(host::Client::TYPE_ID);
        call.set_method_id(4);
        call.init_target().set_imported_cap(export);
    })
}

/// Answers question `id`, `Host.executor`, with the executor of answer `answer`.
pub(crate) fn answer_answer(id: u32, answer: u32) -> Vec<u8> {
    rpc(|message| {
        let mut said = message.init_return();
        said.set_answer_id(id);
        of_answer(said.init_results(), answer, |content| {
            let mut results: host::executor_results::Builder<'_> = content.init_as();
            results.set_executor(FromClientHook::new(stand_in()));
        });
    })
}

/// Writes content with one capability, the first field of answer `answer`.
pub(crate) fn of_answer(
    payload: payload::Builder<'_>,
    answer: u32,
    fill: impl FnOnce(any_pointer::Builder<'_>),
) {
    let field = |descriptor: cap_descriptor::Builder<'_>| {
        let mut to = descriptor.init_receiver_answer();
        to.set_question_id(answer);
        to.init_transform(1).get(0).set_get_pointer_field(0);
    };
    of(payload, field, fill);
}

/// Writes content with one capability, which is what `describe` says.
pub(crate) fn of(
    mut payload: payload::Builder<'_>,
    describe: impl FnOnce(cap_descriptor::Builder<'_>),
    fill: impl FnOnce(any_pointer::Builder<'_>),
) {
    let mut caps = Vec::new();
    {
        let mut content = payload.reborrow().get_content();
        content.imbue_mut(&mut caps);
        fill(content);
    }
    describe(payload.init_cap_table(1).get(0));
}

/// Answers question `id`, `Host.executor`, without an executor.
pub(crate) fn answer_nothing(id: u32) -> Vec<u8> {
    rpc(|message| {
        let mut answer = message.init_return();
        answer.set_answer_id(id);
        let _: host::executor_results::Builder<'_> = answer.init_results().get_content().init_as();
    })
}

pub(crate) fn finish(id: u32) -> Vec<u8> {
    rpc(|message| message.init_finish().set_question_id(id))
}

/// Lets go of an answer, and of none of its capabilities.
pub(crate) fn keep_and_finish(id: u32) -> Vec<u8> {
    rpc(|message| {
        let mut finish = message.init_finish();
        finish.set_question_id(id);
        finish.set_release_result_caps(false);
    })
}

/// Lets go of a reference to `export`.
pub(crate) fn release(export: u32) -> Vec<u8> {
    rpc(|message| {
        let mut release = message.init_release();
        release.set_id(export);
        release.set_reference_count(1);
    })
}

/// A million pointers, and a descriptor.
pub(crate) fn million(mut payload: payload::Builder<'_>) {
    payload
        .reborrow()
        .init_cap_table(1)
        .get(0)
        .set_sender_promise(1);
    let params: program::spawn_params::Builder<'_> = payload.get_content().init_as();
    let _: any_pointer_list::Builder<'_> = params.init_bootstrap().initn_as(1_000_000);
}

/// Points each of the last million words at the first descriptor.
pub(crate) fn pointing(mut bytes: Vec<u8>) -> Vec<u8> {
    let first = bytes.len() - 8_000_000;
    for word in bytes[first..].chunks_mut(8) {
        assert_eq!(word, [0; 8], "the list is last");
        word[0] = 3;
    }
    bytes
}

/// Question `id`: `Program.spawn` with a million capabilities.
pub(crate) fn spawn_with_a_million(id: u32) -> Vec<u8> {
    pointing(spawn_with(id, million))
}

/// Question `id`: `Program.spawn` with promise 1 and with 600 pointers to one
/// kilobyte, which is all there is.
pub(crate) fn spawn_with_one_600_times(id: u32) -> Vec<u8> {
    const MARK: [u8; 8] = *b"kilobyte";
    let mut bytes = spawn_with(id, |payload| {
        promises(payload, 1, |content| {
            let params: program::spawn_params::Builder<'_> = content.init_as();
            let mut list: any_pointer_list::Builder<'_> = params.init_bootstrap().initn_as(602);
            list.reborrow().get(0).set_as_capability(stand_in());
            let data: capnp::data::Builder<'_> = list.get(1).initn_as(1_024);
            data.copy_from_slice(&MARK.repeat(128));
        });
    });
    let mut words = bytes.chunks(8);
    let target = words.position(|word| word == MARK).unwrap();
    // The list ends where the data begins.
    for at in target - 600..target {
        let word = &mut bytes[at * 8..][..8];
        assert_eq!(word, [0; 8]);
        let (offset, list_of_bytes) = ((target - at - 1) as u32, 1_024 << 3 | 2);
        word[..4].copy_from_slice(&(offset << 2 | 1).to_le_bytes());
        word[4..].copy_from_slice(&u32::to_le_bytes(list_of_bytes));
    }
    bytes
}

/// Promises that go round in circles, each with what is said to make it so.
pub(crate) fn circles() -> [(&'static str, Vec<Vec<u8>>); 7] {
    [
        ("to itself", vec![spawn(1, 1), to_promise(1, 1)]),
        (
            "two",
            vec![spawn(1, 1), spawn(2, 2), to_promise(1, 2), to_promise(2, 1)],
        ),
        (
            "two at once",
            vec![[spawn(1, 1), spawn(2, 2), to_promise(1, 2), to_promise(2, 1)].concat()],
        ),
        (
            "given back first",
            vec![spawn(1, 1), give_back(2, 1), to_promise(1, 1), id_of(9, 2)],
        ),
        (
            "to the answer that gives it back",
            vec![spawn(1, 1), give_back(2, 1), to_answer(1, 2), id_of(9, 2)],
        ),
        (
            "to that answer, at once",
            vec![[spawn(1, 1), give_back(2, 1), to_answer(1, 2), id_of(9, 2)].concat()],
        ),
        (
            "to that answer, and given back again",
            vec![
                spawn(1, 1),
                [give_back(2, 1), to_answer(1, 2)].concat(),
                give_back(3, 1),
                id_of(9, 3),
                id_of(9, 2),
            ],
        ),
    ]
}
