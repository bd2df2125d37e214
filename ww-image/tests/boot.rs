//! What `boot/` says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_lite::future::block_on;
use ww_image::{Boot, Error, Image, Layer, Path, PeerId};
use ww_loader::Memory;

const ONE: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
const OTHER: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

fn image(files: &[(String, &[u8])]) -> Image {
    let mut memory = Memory::new();
    for (path, bytes) in files {
        let path = Path::new(path).unwrap();
        memory.file(&path, bytes.to_vec()).unwrap();
    }
    Image::from(memory)
}

fn boot(files: &[(String, &[u8])]) -> Boot {
    block_on(image(files).boot()).unwrap()
}

fn addrs(boot: &Boot) -> Vec<String> {
    let all = boot.peers.iter().map(|peer| {
        let addrs: Vec<_> = peer.addrs.iter().map(ToString::to_string).collect();
        format!("{} {}", peer.id, addrs.join(" "))
    });
    all.collect()
}

#[test]
fn peers_and_their_addresses_are_read() {
    let own = format!("/dns4/boot.example/tcp/4001/p2p/{ONE}\r\n");
    let boot = boot(&[
        (
            format!("boot/{ONE}"),
            format!("/ip4/10.0.0.1/tcp/4001\n\n  # at home\n{own}/ip4/10.0.0.1/tcp/4001")
                .as_bytes(),
        ),
        (
            format!("boot/{OTHER}"),
            format!("/ip6/::1/udp/9/quic-v1\n/ip4/1.2.3.4/tcp/1/p2p/{ONE}/p2p-circuit").as_bytes(),
        ),
    ]);
    assert_eq!(boot.faults, []);
    let wanted = [
        format!("{ONE} /ip4/10.0.0.1/tcp/4001 {}", own.trim()),
        format!("{OTHER} /ip6/::1/udp/9/quic-v1 /ip4/1.2.3.4/tcp/1/p2p/{ONE}/p2p-circuit"),
    ];
    assert_eq!(addrs(&boot), wanted);
}

#[test]
fn each_fault_names_file_line_and_reason_and_spoils_nothing_else() {
    let lines = format!(
        "/ip4/10.0.0.1/tcp/4001\nnonsense\n/ip4/10.0.0.300/tcp/1\n/ip4/1.2.3.4/tcp/1/p2p/{OTHER}\n"
    );
    let mut lines = lines.into_bytes();
    lines.extend_from_slice(b"\xff\n/ip4/10.0.0.2/tcp/4001");
    let boot = boot(&[
        (format!("boot/{ONE}"), &lines),
        (format!("boot/{OTHER}/below"), b""),
        ("boot/README".into(), b"/ip4/1.2.3.4/tcp/1"),
    ]);
    let one = format!("{ONE} /ip4/10.0.0.1/tcp/4001 /ip4/10.0.0.2/tcp/4001");
    assert_eq!(addrs(&boot), [one]);
    let faults: Vec<_> = boot.faults.iter().map(ToString::to_string).collect();
    let wanted = [
        format!("boot/{ONE}:2: \"nonsense\" is no multiaddr"),
        format!("boot/{ONE}:3: \"/ip4/10.0.0.300/tcp/1\" is no multiaddr"),
        format!("boot/{ONE}:4: the address leads to peer {OTHER}"),
        format!("boot/{ONE}:5: it is not UTF-8"),
        format!("boot/{OTHER}: it is a directory"),
        "boot/README: its name is no peer id".into(),
    ];
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
    for wanted in wanted {
        let count = faults.iter().filter(|fault| fault.starts_with(&wanted));
        assert_eq!(count.count(), 1, "{wanted} in {faults:#?}");
    }
}

#[test]
fn later_layers_replace_a_peers_file() {
    let layer = |name: &'static str, text: &'static str| {
        let files = [(format!("boot/{ONE}"), text)];
        Layer::new(name, Memory::files(files).unwrap())
    };
    let image = Image::new([
        layer("base", "/ip4/10.0.0.1/tcp/1"),
        layer("site", "/ip4/10.0.0.2/tcp/2"),
    ]);
    let wanted = format!("{ONE} /ip4/10.0.0.2/tcp/2");
    assert_eq!(addrs(&block_on(image.boot()).unwrap()), [wanted]);
}

#[test]
fn an_image_without_boot_names_nobody_and_a_file_in_its_place_is_an_error() {
    assert_eq!(boot(&[("etc/x".into(), b"")]), Boot::default());
    let error = block_on(image(&[("boot".into(), b"")]).boot()).unwrap_err();
    assert!(matches!(error, Error::NotDirectory { .. }), "{error:?}");
}

#[test]
fn links_lead_to_files_or_are_faults() {
    let mut memory = Memory::new();
    let put = |text: &str| Path::new(text).unwrap();
    memory.file(&put("etc/peer"), "/ip4/1.1.1.1/tcp/1").unwrap();
    memory
        .link(&put(&format!("boot/{ONE}")), "../etc/peer")
        .unwrap();
    memory
        .link(&put(&format!("boot/{OTHER}")), "../etc/none")
        .unwrap();
    let boot = block_on(Image::from(memory).boot()).unwrap();
    assert_eq!(addrs(&boot), [format!("{ONE} /ip4/1.1.1.1/tcp/1")]);
    assert_eq!(boot.faults.len(), 1);
    assert_eq!(boot.faults[0].file, put(&format!("boot/{OTHER}")));
}

#[test]
fn files_and_their_number_are_bounded() {
    let long = vec![b'\n'; usize::try_from(Boot::MAX_FILE).unwrap() + 1];
    let fits = &long[1..];
    let boot = boot(&[
        (format!("boot/{ONE}"), &long),
        (format!("boot/{OTHER}"), fits),
    ]);
    assert_eq!(addrs(&boot), [format!("{OTHER} ")]);
    assert!(boot.faults[0].reason.contains("over the limit of 65536"));

    let peers = (0..Boot::MAX_PEERS + 2).map(|_| ww_image::PeerId::random());
    let files: Vec<_> = peers
        .map(|peer| (format!("boot/{peer}"), &b""[..]))
        .collect();
    let boot = self::boot(&files);
    assert_eq!(boot.peers.len(), Boot::MAX_PEERS);
    assert_eq!(boot.faults.len(), 1);
}

#[test]
fn addresses_and_faults_are_bounded() {
    let id = PeerId::random().to_string();
    let lines: Vec<_> = (0..100)
        .map(|n| format!("/ip4/127.0.0.1/tcp/{n}\n"))
        .collect();
    let lines = format!("{0}{0}", lines.concat());
    let parsed = boot(&[(format!("boot/{id}"), lines.as_bytes())]);
    assert_eq!(parsed.peers[0].addrs.len(), Boot::MAX_ADDRS);
    let [fault] = &parsed.faults[..] else {
        panic!("{:?}", parsed.faults);
    };
    assert_eq!(fault.line, Some(65));
    assert!(fault.reason.contains("64 addresses before it"), "{fault}");

    // Two files of nothing but faults, and a good one that is read behind them.
    let nonsense = "x\n".repeat(usize::try_from(Boot::MAX_FILE).unwrap() / 2);
    let mut ids = [(); 3].map(|()| PeerId::random().to_string());
    ids.sort();
    let [first, second, last] = ids.map(|id| format!("boot/{id}"));
    let parsed = boot(&[
        (first, nonsense.as_bytes()),
        (second, nonsense.as_bytes()),
        (last, b"/ip4/127.0.0.1/tcp/1"),
    ]);
    assert_eq!(parsed.peers[2].addrs.len(), 1);
    assert_eq!(parsed.faults.len(), Boot::MAX_FAULTS + 1);
    let end = parsed.faults.last().unwrap();
    assert!(end.reason.contains("1024 faults before it"), "{end}");
}
