//! Trees whose CIDs are known.

#![allow(dead_code, reason = "each test uses its part")]

use ww_image::{Image, Layer, Path};
use ww_loader::Memory;

/// A tree, and its CIDs under `unixfs-v1-2025` and `unixfs-v0-2015` as
/// `ipfs-unixfs-importer` 17.1.1 computes them.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) tree: Memory,
    pub(crate) cids: [&'static str; 2],
}

pub(crate) fn known() -> Vec<Known> {
    let known = |name, tree, cids| Known { name, tree, cids };
    vec![
        known(
            "empty",
            Memory::new(),
            [
                "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354",
                "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",
            ],
        ),
        known(
            "shapes",
            shapes(),
            [
                "bafybeig52ry6zyp7pqxsdra6ypnrold5chikqseaef3ve4cj3kcu57c2pm",
                "QmZz6B2ZtXycDt9kGbmP6mLxMBAiVDyvYKt9H2aYFm5JAY",
            ],
        ),
        known(
            "chunks",
            chunks(),
            [
                "bafybeia5zfvhxs5ihj42nfuiqfm6miyz6qfzt4bocmvwdv7bkj25kv2gke",
                "QmX8WcNLzauKi71Gwsp6o85QSfLX4hUMNzRjuJcdjrZYj5",
            ],
        ),
        known(
            "levels",
            levels(),
            [
                "bafybeicjxq37nqm3lcb6akdd64l5g6qlz3pc4xoemghsv3vsddgw5avjkq",
                "QmepnHP5KURg2MS6AaKE5dsk4MvS6jCmrSBB9w3N6np2yA",
            ],
        ),
        known(
            "v1-at-threshold",
            of_size(262_144),
            [
                "bafybeiagbxdyn7ekc33dv6f3acwxcyvm7e6xxv5nvljynssuj4etk5ofse",
                "QmQD3nqYPdpUiWmebYkB4WSYtWVrpP2woxb8skCaMBZDqq",
            ],
        ),
        known(
            "v1-over-threshold",
            of_size(262_145),
            [
                "bafybeigr5se35gxlkwpzoc7mnl3jywiu6bnxwpgc2gnrhfu2vo4kcs4jhi",
                "QmaReu13rRMbfAmnmNTBRpG1q26nGFjTBA9JRqbEyARMkA",
            ],
        ),
        known(
            "v0-at-threshold",
            links_of(262_144),
            [
                "bafybeiafqhvuxmkne7x3hkrpx6zp4ziukp4bylmtc4mqcte262eorw7jme",
                "QmSEt1DEJh7kXyrPRX5eStHTKh69RcyRPRqDQCGkb1KRjA",
            ],
        ),
        known(
            "v0-over-threshold",
            links_of(262_145),
            [
                "bafybeihsncrpjf7u4qxgqgct4yijd3wuz4imrgk3ud24ujygepjfcwlvvm",
                "QmSpDALauWjJ6fBqkrvn1XA5eYyToZzrimyxCQEMs9y6sQ",
            ],
        ),
        known(
            "directories",
            directories(),
            [
                "bafybeiddngrusfghudswuvfn42i2cjkaqd344fyplbn4vvr4mujqzia2wm",
                "QmUW5d7HLwKdpgECKonzN25VJFKgapNwbFDVgDJz8iuLcE",
            ],
        ),
        known(
            "shards",
            shards(),
            [
                "bafybeicrtbxhhn5y7d4ufcqhxuoibygvk2fclrcf3ppfxpbopkbtw762ey",
                "QmXgTncBk1kQdAPi8xQ5dJJ3K6NEhBt7H6gEVzRSvVmXnL",
            ],
        ),
    ]
}

pub(crate) fn image(tree: &Memory) -> Image {
    Image::from(Layer::new("tree", tree.clone()))
}

/// Every kind of node, and names that are easy to get wrong.
fn shapes() -> Memory {
    let mut tree = Memory::new();
    for (path, text) in [
        ("bin/main.wasm", "\0asm"),
        ("etc/empty", ""),
        ("etc/.hidden", "hidden"),
        ("etc/a b/...", "dots and spaces"),
        ("etc/\u{e9}\u{4e2d}\u{1f680}", "beyond ASCII"),
        ("Zed", "upper case sorts before lower"),
        ("etc-too", "sorts between etc and what is in it"),
        ("a/b/c/d/e/f", "deep"),
    ] {
        tree.file(&path_of(path), text.to_owned()).unwrap();
    }
    tree.dir(&path_of("var/empty")).unwrap();
    for (path, target) in [
        ("etc/up", "../bin/main.wasm"),
        ("etc/absolute", "/bin/main.wasm"),
        ("etc/crooked", ".././bin//main.wasm"),
        ("lib", "usr/lib"),
    ] {
        tree.link(&path_of(path), target).unwrap();
    }
    tree
}

/// Files around the lengths at which they are cut.
fn chunks() -> Memory {
    let mut tree = Memory::new();
    for chunk in [256 << 10, 1 << 20] {
        for len in [chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 7] {
            let path = path_of(&format!("file{len}"));
            tree.file(&path, bytes(len)).unwrap();
        }
    }
    tree
}

/// A file that needs a second level above its chunks under `unixfs-v0-2015`,
/// and one that just does not.
fn levels() -> Memory {
    let mut tree = Memory::new();
    for chunks in [174, 175] {
        let path = path_of(&format!("of{chunks}"));
        tree.file(&path, bytes(chunks * (256 << 10))).unwrap();
    }
    tree
}

/// A directory whose block, were it in one, would have `size` bytes under
/// `unixfs-v1-2025`: 4 for itself, and for each link to a file of one byte 44
/// and its name, or 46 where the name is longer than 127 bytes.
fn of_size(size: usize) -> Memory {
    let count = 4852;
    let long = size - 4 - (count - 1) * (44 + 10) - 46;
    let names = (1..count).map(|number| format!("{number:010}"));
    files(names.chain(["x".repeat(long)]))
}

/// A directory whose names and CIDs have `size` bytes under `unixfs-v0-2015`.
fn links_of(size: usize) -> Memory {
    let count = 4096;
    let long = size - (count - 1) * (34 + 30) - 34;
    let names = (1..count).map(|number| format!("{number:030}"));
    files(names.chain(["x".repeat(long)]))
}

/// So many directories in one that it is put into shards.
fn directories() -> Memory {
    let mut tree = Memory::new();
    for number in 0..5_500 {
        tree.dir(&path_of(&format!("dir{number}"))).unwrap();
    }
    tree
}

/// Shards of several levels, in a directory that has others beside it.
fn shards() -> Memory {
    let mut tree = files((0..6_500).map(|number| format!("wide/{number}")));
    tree.file(&path_of("etc/motd"), "hello").unwrap();
    tree.file(&path_of("wide/\u{e9}"), bytes(300_000)).unwrap();
    tree
}

fn files(names: impl Iterator<Item = String>) -> Memory {
    let mut tree = Memory::new();
    for name in names {
        tree.file(&path_of(&name), "x").unwrap();
    }
    tree
}

fn path_of(text: &str) -> Path {
    Path::new(text).unwrap()
}

/// Bytes of which no two chunks are alike.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (number, piece) in bytes.chunks_mut(4093).enumerate() {
        piece.fill(number as u8);
    }
    bytes
}
