//! What an image remembers.

use std::sync::{Arc, Weak};

use ww_image::{Image, Memo};
use ww_loader::Memory;

fn image() -> Image {
    Image::from(Memory::new())
}

#[test]
fn values_are_kept_by_key_and_type_and_shared_by_clones() {
    let image = image();
    image.memo().remember(1, "text");
    image.clone().memo().remember(1, 7_u32);
    image.memo().remember(2, 8_u32);
    assert_eq!(image.memo().recall::<&str>(1), Some("text"));
    assert_eq!(image.memo().recall::<u32>(1), Some(7));
    assert_eq!(image.memo().recall::<u32>(2), Some(8));
    assert_eq!(image.memo().recall::<u64>(1), None);
    image.memo().remember(1, 9_u32);
    assert_eq!(image.memo().recall::<u32>(1), Some(9));
    assert_eq!(self::image().memo().recall::<u32>(1), None);
}

#[test]
fn only_the_newest_values_are_kept() {
    let image = image();
    let kept: Vec<_> = (0..Memo::CAPACITY as u64 + 3).map(Arc::new).collect();
    for value in &kept {
        image.memo().remember(**value, value.clone());
    }
    let recalled: Vec<_> = (0..kept.len() as u64)
        .filter(|key| image.memo().recall::<Arc<u64>>(*key).is_some())
        .collect();
    assert_eq!(recalled, (3..kept.len() as u64).collect::<Vec<_>>());
    assert_eq!(Arc::strong_count(&kept[0]), 1);
}

/// Uses the memo while it is dropped out of it.
struct Nosy(Image);

impl Drop for Nosy {
    fn drop(&mut self) {
        self.0.memo().remember(2, ());
    }
}

#[test]
fn a_value_may_use_the_memo_while_it_is_dropped() {
    let image = image();
    image.memo().remember(1, Arc::new(Nosy(image.clone())));
    let weak: Weak<Nosy> = Arc::downgrade(&image.memo().recall::<Arc<Nosy>>(1).unwrap());
    image.memo().remember(1, Arc::new(Nosy(self::image())));
    assert!(weak.upgrade().is_none());
    assert_eq!(image.memo().recall::<()>(2), Some(()));
}
