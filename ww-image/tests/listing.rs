//! Listings take no more than whoever asks has room for.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use futures_lite::stream::{self, StreamExt};
use ww_image::{Error, Image, Kind, Layer, Path};
use ww_loader::{Entry, Loader, Memory, Node, async_trait};

/// Directories without end, and how many names of them were asked for.
#[derive(Clone, Default)]
struct Endless(Arc<AtomicUsize>);

/// More names than anybody here has room for.
const TOO_MANY: usize = 50_000;

impl Endless {
    fn image(&self) -> Image {
        Image::from(Layer::new("endless", self.clone()))
    }

    fn asked(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

#[async_trait]
impl Loader for Endless {
    async fn open(&self, _: &Path) -> Result<Node, ww_loader::Error> {
        let asked = self.0.clone();
        let names = stream::iter(0..).map(move |number: usize| {
            let so_far = asked.fetch_add(1, Ordering::Relaxed);
            assert!(so_far < TOO_MANY, "{so_far} names were asked for");
            let (name, kind) = (format!("{number:05}"), Kind::Link);
            Ok(Entry { name, kind })
        });
        Ok(Node::Dir(names.boxed()))
    }
}

#[test]
fn a_directory_without_end_is_left_as_soon_as_it_is_too_much() {
    let endless = Endless::default();
    let image = endless.image();
    let names = |most: usize| block_on(image.read_dir_within(&Path::root(), most));
    for most in [0, 1, 10_000, 1 << 20] {
        let error = names(most).unwrap_err();
        assert!(
            matches!(error, Error::Listing { limit, .. } if limit == most),
            "{error}"
        );
        // One takes a hundred bytes or more, and the one that is too many is asked for.
        assert!(endless.asked() <= most / 100 + 1, "{most}");
    }
    assert!(matches!(
        block_on(image.boot()).unwrap_err(),
        Error::Listing {
            limit: Image::LISTING_LIMIT,
            ..
        }
    ));
    assert!(endless.asked() <= Image::LISTING_LIMIT / 100 + 1);
    assert_eq!(
        block_on(image.services()).unwrap_err().to_string(),
        "svc in layer endless has more names than fit 4194304 bytes"
    );
    assert!(endless.asked() <= Image::LISTING_LIMIT / 100 + 1);
}

#[test]
fn as_much_of_a_directory_without_end_is_hashed_as_an_image_may_have_names() {
    let endless = Endless::default();
    let layer = Layer::new("endless", endless.clone());
    let image = Image::builder().layer(layer).names_limit(1000).build();
    let empty = block_on(Image::from(Memory::new()).cid()).unwrap();
    let too_many = |error: Error| {
        assert!(
            matches!(error, Error::TooMany { limit: 1000, .. }),
            "{error}"
        );
        assert_eq!(endless.asked(), 1001);
    };
    too_many(block_on(image.cid()).unwrap_err());
    too_many(block_on(image.pin(empty).main()).unwrap_err());
}

#[test]
fn what_fits_is_what_is_there_from_one_layer_or_several_or_from_memory() {
    let tree = |names: &[&str]| {
        let names = names.iter().map(|name| (*name, ""));
        Layer::from(Memory::files(names).unwrap())
    };
    let one = Image::new([tree(&["a", "b"])]);
    let several = Image::new([tree(&["a"]), tree(&["a", "b"]), tree(&["b"])]);
    let sealed = block_on(several.hashing().seal()).unwrap();
    for image in [one, several, sealed] {
        let names = |most| block_on(image.read_dir_within(&Path::root(), most));
        let least = (0..).find(|most| names(*most).is_ok()).unwrap();
        assert!((200..1000).contains(&least), "{least}");
        let listed = |entries: Vec<ww_image::Entry>| format!("{entries:?}");
        let all = listed(block_on(image.read_dir(&Path::root())).unwrap());
        for most in [least, least + 1, usize::MAX] {
            assert_eq!(listed(names(most).unwrap()), all, "{most}");
        }
        assert!(matches!(names(least - 1), Err(Error::Listing { .. })));
    }
}
