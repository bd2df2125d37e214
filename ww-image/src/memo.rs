use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What others have made of an image and want to find again, shared by all
/// clones of the image.
///
/// A value is kept under a key of the caller's choice, a runtime's own number
/// say, and its type. The newest [`Memo::CAPACITY`] values are kept; a value
/// that must not outlive its owner is best kept as a weak reference.
///
/// ```
/// use ww_image::Image;
/// use ww_loader::Memory;
///
/// let image = Image::new([Memory::new()]);
/// image.memo().remember(7, "compiled".to_string());
/// assert_eq!(image.clone().memo().recall::<String>(7).as_deref(), Some("compiled"));
/// assert_eq!(image.memo().recall::<String>(8), None);
/// ```
#[derive(Default)]
pub struct Memo {
    /// Oldest first; a key with a type stands here once.
    values: Mutex<VecDeque<(u64, Box<dyn Any + Send + Sync>)>>,
}

impl Memo {
    /// How many values are kept.
    pub const CAPACITY: usize = 8;

    /// The value of type `T` kept under `key`.
    pub fn recall<T: Any + Clone>(&self, key: u64) -> Option<T> {
        let values = self.values();
        let mut found = values.iter().filter(|(kept, _)| *kept == key);
        found
            .find_map(|(_, value)| value.downcast_ref::<T>())
            .cloned()
    }

    /// Keeps `value` under `key`, in place of an earlier one of the same type.
    pub fn remember<T: Any + Send + Sync>(&self, key: u64, value: T) {
        let dropped = {
            let mut values = self.values();
            let same = values
                .iter()
                .position(|(kept, old)| *kept == key && old.is::<T>());
            let dropped = match same {
                Some(at) => values.remove(at),
                None if values.len() == Self::CAPACITY => values.pop_front(),
                None => None,
            };
            values.push_back((key, Box::new(value)));
            dropped
        };
        // Outside of the lock: a value's drop may come back here.
        drop(dropped);
    }

    fn values(&self) -> MutexGuard<'_, VecDeque<(u64, Box<dyn Any + Send + Sync>)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memo({} values)", self.values().len())
    }
}
