#![allow(
    missing_docs,
    unreachable_pub,
    missing_debug_implementations,
    clippy::use_self,
    reason = "generated from WASI's own WIT"
)]

wasmtime::component::bindgen!({
    // One by one, because `wit` itself holds our packages as well.
    path: [
        "wit/deps/io.wit",
        "wit/deps/clocks.wit",
        "wit/deps/random.wit",
        "wit/deps/filesystem.wit",
        "wit/deps/sockets.wit",
        "wit/deps/cli.wit",
    ],
    world: "wasi:cli/imports",
    with: {
        "wasi:io": wasmtime_wasi_io::bindings::wasi::io,
        "wasi:cli/terminal-input.terminal-input": super::terminal::Terminal,
        "wasi:cli/terminal-output.terminal-output": super::terminal::Terminal,
        "wasi:filesystem/types.descriptor": super::filesystem::Descriptor,
        "wasi:filesystem/types.directory-entry-stream": super::filesystem::Listing,
        "wasi:sockets/network.network": super::sockets::Network,
        "wasi:sockets/tcp.tcp-socket": super::sockets::Never,
        "wasi:sockets/udp.udp-socket": super::sockets::Never,
        "wasi:sockets/udp.incoming-datagram-stream": super::sockets::Never,
        "wasi:sockets/udp.outgoing-datagram-stream": super::sockets::Never,
        "wasi:sockets/ip-name-lookup.resolve-address-stream": super::sockets::Never,
    },
    trappable_error_type: {
        "wasi:filesystem/types.error-code" => super::filesystem::Failure,
        "wasi:sockets/network.error-code" => super::sockets::Failure,
    },
    imports: {
        "wasi:filesystem/types.[method]descriptor.read": async | trappable,
        "wasi:filesystem/types.[method]descriptor.read-directory": async | trappable,
        "wasi:filesystem/types.[method]descriptor.create-directory-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.stat-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.set-times-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.link-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.open-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.readlink-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.remove-directory-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.rename-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.symlink-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.unlink-file-at": async | trappable,
        "wasi:filesystem/types.[method]descriptor.metadata-hash-at": async | trappable,
        "wasi:random/random.get-random-bytes": async | trappable,
        "wasi:random/insecure.get-insecure-random-bytes": async | trappable,
        default: trappable,
    },
});
