//! How layers become one tree.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_lite::future::block_on;
use ww_image::{Error, Image, Kind, Layer, Node, Path};
use ww_loader::{Loader, Memory, async_trait};

type Files = &'static [(&'static str, &'static str)];

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn image(layers: &[(&str, Files)]) -> Image {
    Image::new(layers.iter().map(|(name, files)| {
        let memory = Memory::files(files.iter().copied()).unwrap();
        Layer::new(*name, memory)
    }))
}

fn read(image: &Image, text: &str) -> Result<String, Error> {
    let bytes = block_on(image.read(&path(text), 1024))?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn directories_merge_and_the_later_file_wins() {
    let image = image(&[
        (
            "base",
            &[
                ("bin/main.wasm", "base"),
                ("etc/a", "base"),
                ("etc/b", "base"),
            ],
        ),
        ("site", &[("etc/b", "site"), ("etc/c", "site")]),
        ("top", &[("etc/c", "top"), ("usr/lib/x.wasm", "top")]),
    ]);
    let cases = [
        ("bin/main.wasm", "base"),
        ("etc/a", "base"),
        ("etc/b", "site"),
        ("etc/c", "top"),
        ("usr/lib/x.wasm", "top"),
    ];
    for (text, layer) in cases {
        assert_eq!(read(&image, text).unwrap(), layer, "{text}");
        let Node::File(file) = block_on(image.open(&path(text))).unwrap() else {
            panic!("{text} is a file");
        };
        assert_eq!((file.layer().name(), file.path()), (layer, &path(text)));
    }
    assert_eq!(block_on(image.main()).unwrap(), "base");
}

#[test]
fn listings_are_merged_sorted_and_say_which_layers_they_come_from() {
    let image = image(&[
        ("base", &[("etc/b", ""), ("etc/dir/x", ""), ("etc/a", "")]),
        ("site", &[("etc/b", ""), ("etc/dir/y", ""), ("etc/c", "")]),
        ("else", &[("usr/z", "")]),
    ]);
    let seen: Vec<_> = block_on(image.read_dir(&path("etc")))
        .unwrap()
        .into_iter()
        .map(|entry| {
            let layers: Vec<_> = entry.layers.iter().map(Layer::name).collect();
            (entry.name, entry.kind, layers.join(" "))
        })
        .collect();
    let entry = |name: &str, kind, layers: &str| (name.to_owned(), kind, layers.to_owned());
    let wanted = [
        entry("a", Kind::File, "base"),
        entry("b", Kind::File, "base site"),
        entry("c", Kind::File, "site"),
        entry("dir", Kind::Dir, "base site"),
    ];
    assert_eq!(seen, wanted);
    let Node::Dir(root) = block_on(image.open(&Path::root())).unwrap() else {
        panic!("the root is a directory");
    };
    let names: Vec<_> = block_on(root.read())
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["etc", "usr"]);
}

#[test]
fn a_directory_against_a_file_names_both_layers() {
    let file: Files = &[("x/etc", "file")];
    let dir: Files = &[("x/etc/conf", "below")];
    for layers in [[("one", file), ("two", dir)], [("two", dir), ("one", file)]] {
        let image = image(&layers);
        for asked in ["x/etc", "x/etc/conf", "x/etc/none"] {
            let error = read(&image, asked).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::Conflict { .. }), "{asked}: {text}");
            assert_eq!(
                text,
                "x/etc is a directory in layer two but a file in layer one"
            );
        }
        let error = block_on(image.read_dir(&path("x"))).unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error}");
    }
}

#[test]
fn absence_and_wrong_kinds_are_told_apart() {
    let image = image(&[
        ("base", &[("etc/file", "1")]),
        ("site", &[("etc/other", "2")]),
    ]);
    let absent = read(&image, "etc/none").unwrap_err();
    assert!(absent.is_not_found());
    assert_eq!(absent.to_string(), "etc/none is not in layers base, site");
    let through = read(&image, "etc/file/x").unwrap_err();
    assert!(matches!(&through, Error::NotDirectory { at, .. } if *at == path("etc/file")));
    assert!(!through.is_not_found());
    assert!(matches!(read(&image, "etc"), Err(Error::NotFile { .. })));
    let listed = block_on(image.read_dir(&path("etc/file"))).unwrap_err();
    assert!(matches!(listed, Error::NotDirectory { .. }));
}

/// A source that is out of order.
struct Failing;

#[async_trait]
impl Loader for Failing {
    async fn open(&self, path: &Path) -> Result<ww_loader::Node, ww_loader::Error> {
        Err(ww_loader::Error::Io {
            path: path.clone(),
            loader: "failing".into(),
            source: std::io::Error::other("disk on fire"),
        })
    }
}

#[test]
fn a_layer_that_fails_is_an_error_wherever_it_lies() {
    let good = || Layer::new("good", Memory::files([("bin/main.wasm", "1")]).unwrap());
    let bad = || Layer::new("bad", Failing);
    for layers in [[good(), bad()], [bad(), good()]] {
        let error = block_on(Image::new(layers).main()).unwrap_err();
        assert!(
            matches!(&error, Error::Layer { layer, .. } if **layer == *"bad"),
            "{error}"
        );
        assert!(!error.is_not_found());
    }
}

#[test]
fn an_image_without_main_says_where_it_looked_and_what_to_do() {
    let cases = [
        (image(&[]), "an image without layers"),
        (image(&[("base", &[("etc/x", "")])]), "layer base"),
        (image(&[("base", &[]), ("site", &[])]), "layers base, site"),
    ];
    for (image, layers) in cases {
        let error = block_on(image.main()).unwrap_err();
        assert!(matches!(error, Error::NoMain { .. }));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("no bin/main.wasm in {layers}; build")),
            "{text}"
        );
    }
    let directory = image(&[("base", &[("bin/main.wasm/x", "")])]);
    assert!(matches!(
        block_on(directory.main()),
        Err(Error::NotFile { .. })
    ));
    assert!(
        block_on(image(&[]).read_dir(&Path::root()))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn main_is_bounded() {
    let files: Files = &[("bin/main.wasm", "12345")];
    let layer = || Layer::new("base", Memory::files(files.iter().copied()).unwrap());
    let limited = |limit| Image::builder().layer(layer()).main_limit(limit).build();
    assert_eq!(block_on(limited(5).main()).unwrap(), "12345");
    let error = block_on(limited(4).main()).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "bin/main.wasm in layer base has 5 bytes, over the limit of 4"
    );
}

#[test]
fn services_have_one_name() {
    assert_eq!(ww_image::fhs::service("chat").unwrap().as_str(), "svc/chat");
    for name in ["", ".", "..", "a/b", "/a"] {
        assert!(ww_image::fhs::service(name).is_err(), "{name:?}");
    }
}

#[test]
fn everything_may_move_between_threads() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    fn shared<T: Send + Sync>(_: &T) {}
    let image = image(&[("base", &[("bin/main.wasm", "1")])]);
    let main = path("bin/main.wasm");
    shared(&image);
    shared(&block_on(sent(image.open(&main))).unwrap());
    shared(&block_on(sent(image.read_dir(&Path::root()))).unwrap());
    let moved = image.clone();
    let read = std::thread::spawn(move || block_on(sent(moved.main())).unwrap());
    assert_eq!(read.join().unwrap(), "1");
}
