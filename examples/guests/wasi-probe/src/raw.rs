//! Below the standard library, where the interfaces' own error codes show.

use std::io;

use wasip2::cli::{environment, exit, stdout};
use wasip2::clocks::monotonic_clock;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};
use wasip2::random::{insecure, insecure_seed, random};
use wasip2::sockets::network::{ErrorCode as SocketCode, IpAddressFamily};
use wasip2::sockets::{instance_network, ip_name_lookup, tcp_create_socket, udp_create_socket};

pub fn tell(what: &str, rest: &[String]) -> io::Result<()> {
    match what {
        "random" => randomness(),
        "random-flood" => {
            random::get_random_bytes((16 << 20) + 1);
        }
        "random-insecure-flood" => {
            insecure::get_insecure_random_bytes((16 << 20) + 1);
        }
        "random-large" => random_large(),
        "handles" => handles(),
        "sockets" => sockets(),
        "overrun" => overrun(),
        "exit-with-code" => exit::exit_with_code(rest[0].parse().expect("a code follows")),
        "paths" => paths(rest),
        "codes" => crate::codes::tell(),
        "read-only" => read_only(),
        "file" => file(),
        "cwd" => println!("{:?}", environment::initial_cwd()),
        "preopens" => preopens(),
        "scratch-raw" => crate::scratch::raw(),
        what if crate::streams::tell(what) => {}
        what => return Err(io::Error::other(format!("nobody knows {what:?}"))),
    }
    Ok(())
}

fn root() -> Descriptor {
    let mut directories = get_directories();
    assert_eq!(directories.len(), 1);
    directories.remove(0).0
}

fn preopens() {
    for (descriptor, path) in get_directories() {
        println!("{path} {:?}", descriptor.get_flags());
    }
}

fn randomness() {
    println!("bytes {:?}", random::get_random_bytes(8));
    println!("u64 {}", random::get_random_u64());
    println!("insecure {:?}", insecure::get_insecure_random_bytes(8));
    println!("insecure u64 {}", insecure::get_insecure_random_u64());
    println!("seed {:?}", insecure_seed::insecure_seed());
    println!("large {}", random::get_random_bytes(100_000).len());
}

/// As many bytes as there are at once, and whether they were drawn to the last: none
/// that was is zero where the host says so.
fn random_large() {
    let tell = |what, bytes: Vec<u8>| {
        let drawn = bytes.iter().filter(|byte| **byte != 0).count();
        println!("{what} {} bytes, {drawn} drawn", bytes.len());
    };
    tell("random", random::get_random_bytes(16 << 20));
    tell(
        "insecure",
        insecure::get_insecure_random_bytes(16 << 20)
            .chunks(64)
            .map(|bytes| bytes.iter().fold(0, |all, byte| all | byte))
            .collect(),
    );
}

fn handles() {
    let mut pollables = Vec::new();
    loop {
        pollables.push(monotonic_clock::subscribe_duration(1_000_000_000));
    }
}

fn sockets() {
    let tell = |what: &str, result: Result<(), SocketCode>| match result {
        Ok(()) => println!("{what}: done"),
        Err(code) => println!("{what}: {}", code.name()),
    };
    let tcp = tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4);
    tell("tcp", tcp.map(drop));
    let udp = udp_create_socket::create_udp_socket(IpAddressFamily::Ipv6);
    tell("udp", udp.map(drop));
    let network = instance_network::instance_network();
    let name = ip_name_lookup::resolve_addresses(&network, "localhost");
    tell("name", name.map(drop));
}

fn overrun() {
    let out = stdout::get_stdout();
    let permit = out.check_write().expect("standard output is open");
    let _ = out.write(&vec![0; permit as usize + 1]);
}

fn name(code: &ErrorCode) -> &str {
    code.name()
}

/// Opens each argument from `base:path`, or from the root where there is no
/// base; a leading `@` does not follow the last link.
fn paths(rest: &[String]) {
    for text in rest {
        let (plain, follow) = match text.strip_prefix('@') {
            Some(plain) => (plain, PathFlags::empty()),
            None => (text.as_str(), PathFlags::SYMLINK_FOLLOW),
        };
        let root = root();
        let (base, path) = match plain.split_once(':') {
            Some((base, path)) => (open(&root, base).expect("the base is a directory"), path),
            None => (root, plain),
        };
        let stat = match base.stat_at(follow, path) {
            Ok(stat) => format!("{:?} {}", stat.type_, stat.size),
            Err(code) => name(&code).into(),
        };
        let opened = base.open_at(follow, path, OpenFlags::empty(), DescriptorFlags::READ);
        let opened = match opened {
            Ok(descriptor) => format!("{:?}", descriptor.get_type().expect("it is open")),
            Err(code) => name(&code).into(),
        };
        let link = base.readlink_at(path);
        let link = link.unwrap_or_else(|code| name(&code).into());
        println!("{text}: stat {stat}, open {opened}, readlink {link}");
    }
}

fn open(base: &Descriptor, path: &str) -> Result<Descriptor, ErrorCode> {
    base.open_at(
        PathFlags::SYMLINK_FOLLOW,
        path,
        OpenFlags::empty(),
        DescriptorFlags::READ,
    )
}

fn read_only() {
    let root = root();
    let file = open(&root, "etc/motd").expect("etc/motd is there");
    let tell = |what: &str, result: Result<(), ErrorCode>| match result {
        Ok(()) => println!("{what}: done"),
        Err(code) => println!("{what}: {}", name(&code)),
    };
    let open = |path, how, flags| root.open_at(PathFlags::empty(), path, how, flags).map(drop);
    let none = OpenFlags::empty();
    let read = DescriptorFlags::READ;
    tell("open write", open("etc/motd", none, DescriptorFlags::WRITE));
    tell("open truncate", open("etc/motd", OpenFlags::TRUNCATE, read));
    tell("open create", open("new", OpenFlags::CREATE, read));
    tell(
        "open mutate",
        open("etc", none, DescriptorFlags::MUTATE_DIRECTORY),
    );
    tell(
        "open directory and create",
        open("x", OpenFlags::DIRECTORY | OpenFlags::CREATE, read),
    );
    tell(
        "open sync",
        open("etc/motd", none, DescriptorFlags::FILE_INTEGRITY_SYNC),
    );
    tell(
        "open file as directory",
        open("etc/motd", OpenFlags::DIRECTORY, read),
    );
    tell("file write", file.write(b"x", 0).map(drop));
    tell("file write-via-stream", file.write_via_stream(0).map(drop));
    tell("file append-via-stream", file.append_via_stream().map(drop));
    tell("file set-size", file.set_size(0));
    tell(
        "file set-times",
        file.set_times(NewTimestamp::Now, NewTimestamp::NoChange),
    );
    tell("file sync", file.sync());
    tell("file sync-data", file.sync_data());
    tell("file advise", file.advise(0, 1, Advice::WillNeed));
    tell(
        "file as base",
        file.stat_at(PathFlags::empty(), "x").map(drop),
    );
    tell("directory read", root.read(1, 0).map(drop));
    tell(
        "directory read-via-stream",
        root.read_via_stream(0).map(drop),
    );
    tell("create-directory-at", root.create_directory_at("new"));
    tell(
        "link-at",
        root.link_at(PathFlags::empty(), "etc/motd", &root, "new"),
    );
    tell("remove-directory-at", root.remove_directory_at("etc"));
    tell("rename-at", root.rename_at("etc", &root, "new"));
    tell("symlink-at", root.symlink_at("etc", "new"));
    tell("unlink-file-at", root.unlink_file_at("etc/motd"));
    let times = (NewTimestamp::Now, NewTimestamp::Now);
    tell(
        "set-times-at",
        root.set_times_at(PathFlags::empty(), "etc", times.0, times.1),
    );
}

/// Reads of one file, by range and by stream, and what identifies it.
fn file() {
    let root = root();
    let motd = open(&root, "etc/motd").expect("etc/motd is there");
    let show = |(bytes, end): (Vec<u8>, bool)| (String::from_utf8_lossy(&bytes).into_owned(), end);
    println!("whole {:?}", motd.read(1 << 40, 0).map(show));
    println!("middle {:?}", motd.read(3, 2).map(show));
    println!("past the end {:?}", motd.read(3, 1 << 50).map(show));
    let stream = motd.read_via_stream(2).expect("a file has a stream");
    println!(
        "stream {:?}",
        stream
            .blocking_read(3)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    );
    println!("skip {:?}", stream.blocking_skip(1 << 40).is_ok());
    println!("end {:?}", stream.blocking_read(1));
    let again = open(&root, "etc/../etc/./motd").expect("the same file");
    let other = open(&root, "etc").expect("a directory");
    println!(
        "same {} {}",
        motd.is_same_object(&again),
        motd.is_same_object(&other)
    );
    let hash = |descriptor: &Descriptor| {
        let hash = descriptor.metadata_hash().expect("it is open");
        (hash.lower, hash.upper)
    };
    let at = root
        .metadata_hash_at(PathFlags::empty(), "etc/motd")
        .expect("it is there");
    println!(
        "hash {} {}",
        hash(&motd) == hash(&again),
        hash(&motd) == (at.lower, at.upper)
    );
    println!("hash of another {}", hash(&motd) == hash(&other));
    let large = open(&root, "large").expect("large is there");
    println!(
        "capped {}",
        large.read(1 << 40, 0).expect("a file reads").0.len()
    );
}
