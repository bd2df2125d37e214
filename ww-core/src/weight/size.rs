use super::Unweighed;
use super::definition::DEPTH;

/// How much the engine copies of a component or an instance when it is handed on:
/// all that it holds, each time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Items, within one another included. A name counts for its length.
    pub(super) items: usize,
    /// How deep they stand within one another.
    depth: usize,
}

/// Bytes of a name that take as much as an item without.
const NAME: usize = 16;

impl Size {
    /// Of what holds nothing.
    pub(super) const ONE: Self = Self { items: 1, depth: 1 };

    /// Of what holds `held` too.
    ///
    /// # Errors
    ///
    /// It is too deep.
    pub(super) fn with(self, held: Self) -> Result<Self, Unweighed> {
        let depth = self.depth.max(held.depth + 1);
        if depth > DEPTH {
            return Err(Unweighed::TooDeep);
        }
        Ok(Self {
            items: self.items.saturating_add(held.items),
            depth,
        })
    }

    /// Of what holds so many items more that hold nothing.
    pub(super) fn and(self, others: usize) -> Self {
        Self {
            items: self.items.saturating_add(others),
            ..self
        }
    }
}

/// What a name adds to the item that it names.
pub(super) fn named(name: &str) -> usize {
    name.len() / NAME
}
