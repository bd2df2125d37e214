/// An image that is assembled in the folder of its name.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// Names of the guests whose images are its services, under `svc/`.
    pub(crate) services: &'static [&'static str],
}

/// Every image. Each has the guest of its own name as its `bin/main.wasm`;
/// what else it holds is committed in place.
pub(crate) const CATALOG: &[Entry] = &[
    image("attenuates", &["escapes"]),
    image("calculator", &[]),
    image("caller", &[]),
    image("clerk", &[]),
    image("closer", &[]),
    image("dice", &[]),
    image("echo-child", &[]),
    image("echoes", &[]),
    image("escapes", &[]),
    image("exits", &[]),
    image("exporter", &[]),
    image("fails", &[]),
    image("falls", &[]),
    image("garbage", &[]),
    image("greeted", &[]),
    image("hello", &[]),
    image("member", &[]),
    image("nests", &[]),
    image("parrot", &[]),
    image("pid0", &["echo-child", "exporter"]),
    image("pours", &[]),
    image("probe-stdio", &[]),
    image("probe-streams", &[]),
    image("puppet", &[]),
    image("queued", &[]),
    image("shell", &["echo-child", "hello"]),
    image("spins", &[]),
    image("squares", &[]),
    image("store", &[]),
    image("stuck", &[]),
    image("tells", &[]),
    image("traps", &[]),
    image("twice", &[]),
    image("wasi-probe", &[]),
    image("wire-compat", &[]),
];

const fn image(name: &'static str, services: &'static [&'static str]) -> Entry {
    Entry { name, services }
}
