//! What is fixed for ever because guests in the field speak it: type ids,
//! method ordinals as they travel, and the layout of structs.

use capnp::introspect::{Introspect, Type, TypeVariant};
use capnp::schema::StructSchema;
use capnp::schema_capnp::field;
use capnp::serialize::read_message;
use capnp::traits::HasTypeId;
use capnp_rpc::rpc_capnp::message;
use futures_lite::{AsyncReadExt, future};
use ww_rpc::cell_capnp::{Transport, program, spawn_options, usage};
use ww_rpc::membrane_capnp::wetware_session;
use ww_rpc::peer_capnp::{byte_stream, executor, host, peer_info, process};
use ww_rpc::stem_capnp::{Status, epoch, membrane, session, signer, status_poller};
use ww_rpc::{Limits, Side, Vat};

type Membrane = membrane::Client<wetware_session::Owned>;
type Session<'a> = session::Reader<'a, wetware_session::Owned>;

const STEM: u64 = 0x9bce_094a_0269_70c4;
const MEMBRANE: u64 = 0xa59e_04af_26ec_a82f;
const PEER: u64 = 0xbf51_47b7_8c0e_6a2f;
const CELL: u64 = 0xb314_31b8_5b2a_bdff;

fn id<T: HasTypeId>() -> u64 {
    T::TYPE_ID
}

/// Expected ids were computed as the language defines them and not taken from
/// generated code: the first eight bytes, big endian, of
/// `md5(file id, little endian ‖ name)`, with the highest bit set.
#[test]
fn types_have_the_ids_of_their_files_and_names() {
    let types = [
        (
            STEM,
            "Epoch",
            0xc736_e799_5602_6568,
            id::<epoch::Reader<'_>>(),
        ),
        (STEM, "Status", 0xc373_a899_db84_bd64, id::<Status>()),
        (
            STEM,
            "Signer",
            0xafaf_af94_68b6_a274,
            id::<signer::Client>(),
        ),
        (
            STEM,
            "StatusPoller",
            0xc146_4c90_f23a_f390,
            id::<status_poller::Client>(),
        ),
        (STEM, "Session", 0xa107_69b2_c99d_fc5c, id::<Session<'_>>()),
        (STEM, "Membrane", 0xdb52_c251_06bc_2c5e, id::<Membrane>()),
        (
            MEMBRANE,
            "WetwareSession",
            0xb6e5_de82_604b_5669,
            id::<wetware_session::Reader<'_>>(),
        ),
        (
            PEER,
            "PeerInfo",
            0x9a21_9c7d_16c9_532a,
            id::<peer_info::Reader<'_>>(),
        ),
        (PEER, "Host", 0x9ea7_0c8c_9aef_b70c, id::<host::Client>()),
        (
            PEER,
            "Executor",
            0xbfa3_7c1e_99b4_a492,
            id::<executor::Client>(),
        ),
        (
            PEER,
            "Process",
            0x97d4_030d_8435_f0b1,
            id::<process::Client>(),
        ),
        (
            PEER,
            "ByteStream",
            0xcb87_07ff_6dc4_6ee0,
            id::<byte_stream::Client>(),
        ),
        (CELL, "Transport", 0x931f_d874_5c8f_f8de, id::<Transport>()),
        (
            CELL,
            "SpawnOptions",
            0xf8fe_76d1_e4e8_56b2,
            id::<spawn_options::Reader<'_>>(),
        ),
        (
            CELL,
            "Usage",
            0x8222_84a6_c9bf_5e80,
            id::<usage::Reader<'_>>(),
        ),
        (
            CELL,
            "Program",
            0xe9c4_2f4e_04a9_8ebe,
            id::<program::Client>(),
        ),
    ];
    for (file, name, expected, found) in types {
        assert_eq!(found, expected, "{name} of {file:#x}: {found:#x}");
    }
}

/// The interface and method of the one call that `send` makes, as it travels.
fn called<C: capnp::capability::FromClientHook>(send: impl FnOnce(C)) -> (u64, u16) {
    let (silence, _peer) = piper::pipe(1);
    let (mut sent, writer) = piper::pipe(1 << 16);
    let mut vat = Vat::new(silence, writer, Side::Client, None, Limits::default());
    send(vat.bootstrap());
    let mut bytes = Vec::new();
    future::block_on(async {
        let _ = future::poll_once(&mut vat).await;
        drop(vat);
        sent.read_to_end(&mut bytes).await
    })
    .expect("memory does not fail");
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        let message = read_message(&mut bytes, Default::default()).expect("message");
        let root: message::Reader<'_> = message.get_root().expect("root");
        if let Ok(message::Call(Ok(call))) = root.which() {
            return (call.get_interface_id(), call.get_method_id());
        }
    }
    panic!("no call was made");
}

macro_rules! calls {
    ($($client:ty: $($request:ident @$ordinal:literal)*;)*) => {
        [$($((
            stringify!($client $request),
            called(|client: $client| drop(client.$request().send())),
            (id::<$client>(), $ordinal),
        ),)*)*]
    };
}

#[test]
fn methods_travel_under_their_ordinals() {
    let calls = calls! {
        signer::Client: sign_request@0;
        status_poller::Client: poll_status_request@0 ended_request@1;
        Membrane: graft_request@0;
        host::Client: id_request@0 addrs_request@1 peers_request@2 connect_request@3
            executor_request@4;
        executor::Client: run_bytes_request@0 echo_request@1 compile_request@2
            run_image_request@3;
        process::Client: stdin_request@0 stdout_request@1 stderr_request@2 wait_request@3
            bootstrap_request@4 kill_request@5 usage_request@6;
        byte_stream::Client: read_request@0 write_request@1 close_request@2 push_request@3
            finish_request@4;
        program::Client: spawn_request@0;
    };
    for (name, found, expected) in calls {
        assert_eq!(found, expected, "{name}");
    }
}

fn type_name(of: Type) -> String {
    match of.which() {
        TypeVariant::List(element) => format!("List({})", type_name(element)),
        TypeVariant::Struct(schema) => {
            let id = StructSchema::new(schema).get_proto().get_id();
            format!("{id:x}")
        }
        TypeVariant::Enum(_) => "Enum".into(),
        plain => format!("{plain:?}"),
    }
}

/// `name @offset Type` of each field, where offsets count in units of the
/// field's own size, pointers apart from data.
fn layout<T: Introspect>() -> String {
    let TypeVariant::Struct(raw) = T::introspect().which() else {
        panic!("not a struct");
    };
    let fields = StructSchema::new(raw).get_fields().expect("fields");
    let mut lines = Vec::new();
    for field in fields {
        let proto = field.get_proto();
        let name = proto.get_name().expect("name").to_str().expect("text");
        let Ok(field::Slot(slot)) = proto.which() else {
            panic!("{name} is a group");
        };
        let offset = slot.get_offset();
        lines.push(format!("{name} @{offset} {}", type_name(field.get_type())));
    }
    lines.join(", ")
}

#[test]
fn structs_are_laid_out_as_in_the_field() {
    type Graft = membrane::graft_results::Owned<wetware_session::Owned>;
    let layouts = [
        (
            layout::<epoch::Owned>(),
            "seq @0 UInt64, head @0 Data, adoptedBlock @1 UInt64",
        ),
        (
            layout::<session::Owned<wetware_session::Owned>>(),
            "issuedEpoch @0 c736e79956026568, statusPoller @1 Capability, \
             extension @2 b6e5de82604b5669",
        ),
        (
            layout::<wetware_session::Owned>(),
            "host @0 Capability, executor @1 Capability",
        ),
        (
            layout::<peer_info::Owned>(),
            "peerId @0 Data, addrs @1 List(Data)",
        ),
        (
            layout::<signer::sign_params::Owned>(),
            "domain @0 Text, nonce @0 UInt64",
        ),
        (layout::<signer::sign_results::Owned>(), "sig @0 Data"),
        (
            layout::<status_poller::poll_status_results::Owned>(),
            "status @0 Enum",
        ),
        (layout::<Graft>(), "session @0 a10769b2c99dfc5c"),
        (layout::<host::id_results::Owned>(), "peerId @0 Data"),
        (
            layout::<host::addrs_results::Owned>(),
            "addrs @0 List(Data)",
        ),
        (
            layout::<host::peers_results::Owned>(),
            "peers @0 List(9a219c7d16c9532a)",
        ),
        (
            layout::<host::connect_params::Owned>(),
            "peerId @0 Data, addrs @1 List(Data)",
        ),
        (
            layout::<host::executor_results::Owned>(),
            "executor @0 Capability",
        ),
        (
            layout::<executor::run_bytes_params::Owned>(),
            "wasm @0 Data, args @1 List(Text), env @2 List(Text)",
        ),
        (
            layout::<executor::run_bytes_results::Owned>(),
            "process @0 Capability",
        ),
        (layout::<executor::echo_params::Owned>(), "message @0 Text"),
        (
            layout::<executor::echo_results::Owned>(),
            "response @0 Text",
        ),
        (
            layout::<process::stdin_results::Owned>(),
            "stream @0 Capability",
        ),
        (
            layout::<process::wait_results::Owned>(),
            "exitCode @0 Int32",
        ),
        (
            layout::<byte_stream::read_params::Owned>(),
            "maxBytes @0 UInt32",
        ),
        (layout::<byte_stream::read_results::Owned>(), "data @0 Data"),
        (layout::<byte_stream::write_params::Owned>(), "data @0 Data"),
        (layout::<byte_stream::push_params::Owned>(), "data @0 Data"),
        (
            layout::<program::spawn_params::Owned>(),
            "options @0 f8fe76d1e4e856b2, bootstrap @1 AnyPointer",
        ),
    ];
    for (found, expected) in layouts {
        assert_eq!(found, expected);
    }
    assert_eq!(
        [Status::Ok, Status::Unauthorized, Status::InternalError].map(|s| s as u16),
        [0, 1, 2]
    );
    assert_eq!(
        [Transport::Imports, Transport::Stdio].map(|t| t as u16),
        [0, 1]
    );
}
