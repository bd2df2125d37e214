use std::collections::BTreeMap;

use super::tree::Number;

/// What a directory holds.
pub(super) struct Dir {
    /// In the order in which they are listed.
    pub(super) names: BTreeMap<Box<str>, Number>,
    /// The directory it stands in; the root's is the root.
    pub(super) parent: Number,
    /// The heights of the directories in it, sorted, and how many have each: so
    /// that it is known how high this one is without a look at all below.
    heights: Vec<(u16, u32)>,
}

impl Dir {
    pub(super) fn new(parent: Number) -> Self {
        Self {
            names: BTreeMap::new(),
            parent,
            heights: Vec::new(),
        }
    }

    /// How many directories stand below it, one in the other: none in one
    /// without any.
    pub(super) fn height(&self) -> u16 {
        self.heights.last().map_or(0, |(height, _)| height + 1)
    }

    /// Counts a directory of this height in it.
    pub(super) fn came(&mut self, height: u16) {
        match self.find(height) {
            Ok(at) => self.heights[at].1 += 1,
            Err(at) => self.heights.insert(at, (height, 1)),
        }
    }

    /// Takes back what [`came`](Self::came) counted.
    pub(super) fn went(&mut self, height: u16) {
        let Ok(at) = self.find(height) else { return };
        self.heights[at].1 -= 1;
        if self.heights[at].1 == 0 {
            self.heights.remove(at);
            // It holds no more than the directories in it pay for.
            self.heights.shrink_to(2 * self.heights.len());
        }
    }

    fn find(&self, height: u16) -> Result<usize, usize> {
        self.heights
            .binary_search_by_key(&height, |(height, _)| *height)
    }
}
