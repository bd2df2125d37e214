use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::check_offset;
use super::super::times::Times;
use super::budget::Budget;
use super::dir::Dir;
use super::node::{Body, NAME, Node};
use super::pages::{LONGEST, Pages};
use crate::clock::Clock;
use crate::wasi::wit::filesystem::types::ErrorCode;

/// Tells a node from all that ever were in its tree.
pub(in super::super) type Number = u64;

/// How deep directories may be nested.
pub(super) const DEEPEST: usize = 256;

/// All nodes, and what they cost.
///
/// Every number in a directory's names, and that of every open node, is in the
/// table; otherwise the answer is [`ErrorCode::BadDescriptor`].
pub(super) struct Tree {
    /// Sorted, so that no growth has to move all of them.
    nodes: BTreeMap<Number, Node>,
    next: Number,
    budget: Budget,
    clock: Arc<dyn Clock>,
}

impl Tree {
    pub(super) const ROOT: Number = 0;

    pub(super) fn new(budget: Budget, clock: Arc<dyn Clock>) -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
            next: Self::ROOT + 1,
            budget,
            clock,
        };
        let mut root = Node::new(Body::Dir(Dir::new(Self::ROOT)), tree.now());
        root.links = 1;
        tree.nodes.insert(Self::ROOT, root);
        tree
    }

    pub(super) fn get(&self, number: Number) -> Result<&Node, ErrorCode> {
        self.nodes.get(&number).ok_or(ErrorCode::BadDescriptor)
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Result<&mut Node, ErrorCode> {
        self.nodes.get_mut(&number).ok_or(ErrorCode::BadDescriptor)
    }

    /// The wall clock's time since 1970, and 1970 for what is before.
    pub(super) fn now(&self) -> Duration {
        let since = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default()
    }

    /// Makes a node and names it `name` in `dir`, which must not have the name.
    pub(super) fn make(
        &mut self,
        dir: Number,
        name: Box<str>,
        body: Body,
    ) -> Result<Number, ErrorCode> {
        self.writable(dir)?;
        let node = Node::new(body, self.now());
        if node.is_dir() && self.depth(dir)? >= DEEPEST {
            return Err(ErrorCode::NameTooLong);
        }
        let price = node.price();
        self.budget.charge(price + Self::name_price(&name))?;
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.enter(dir, name, number)?;
        Ok(number)
    }

    /// Charges for one more name of `number`, and enters it in `dir`.
    pub(super) fn name(
        &mut self,
        dir: Number,
        name: Box<str>,
        number: Number,
    ) -> Result<(), ErrorCode> {
        self.writable(dir)?;
        self.budget.charge(Self::name_price(&name))?;
        self.enter(dir, name, number)
    }

    /// Takes `name` out of `dir`, and what it led to where nothing else does.
    pub(super) fn unname(&mut self, dir: Number, name: &str) -> Result<(), ErrorCode> {
        let now = self.now();
        let parent = self.get_mut(dir)?;
        let removed = parent.dir_mut()?.names.remove(name);
        let number = removed.ok_or(ErrorCode::NoEntry)?;
        (parent.modified, parent.changed) = (now, now);
        self.budget.release(Self::name_price(name));
        let node = self.get_mut(number)?;
        node.links -= 1;
        node.changed = now;
        let height = node.height();
        self.forget(number);
        self.settle(dir, height, None)
    }

    /// Moves `name` of `dir` to where nothing stands, for what it costs more.
    pub(super) fn rename(
        &mut self,
        (dir, name): (Number, &str),
        (new_dir, new_name): (Number, Box<str>),
    ) -> Result<(), ErrorCode> {
        let number = self.get(dir)?.dir()?.names.get(name).copied();
        let number = number.ok_or(ErrorCode::NoEntry)?;
        self.writable(new_dir)?;
        let held = Self::name_price(name);
        self.budget.change(held, Self::name_price(&new_name))?;
        let now = self.now();
        let parent = self.get_mut(dir)?;
        parent.dir_mut()?.names.remove(name);
        (parent.modified, parent.changed) = (now, now);
        let node = self.get_mut(number)?;
        node.links -= 1;
        let height = node.height();
        self.settle(dir, height, None)?;
        self.enter(new_dir, new_name, number)
    }

    /// Drops the node if neither a name nor a descriptor leads to it.
    pub(super) fn forget(&mut self, number: Number) {
        let unused = |node: &Node| node.links == 0 && node.opens == 0;
        if self.nodes.get(&number).is_some_and(unused)
            && let Some(node) = self.nodes.remove(&number)
        {
            self.budget.release(node.price());
        }
    }

    /// Writes to a file, all or nothing.
    pub(super) fn write(
        &mut self,
        number: Number,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), ErrorCode> {
        check_offset(offset)?;
        let end = offset.checked_add(bytes.len() as u64);
        let end = end.filter(|end| *end <= LONGEST);
        let end = end.ok_or(ErrorCode::FileTooLarge)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let len = self.get(number)?.file()?.len();
        self.charge(len, end.max(len))?;
        let now = self.now();
        let node = self.get_mut(number)?;
        node.file_mut()?.write(offset, bytes);
        (node.modified, node.changed) = (now, now);
        Ok(())
    }

    pub(super) fn resize(&mut self, number: Number, len: u64) -> Result<(), ErrorCode> {
        check_offset(len)?;
        self.charge(self.get(number)?.file()?.len(), len)?;
        let now = self.now();
        let node = self.get_mut(number)?;
        node.file_mut()?.resize(len);
        (node.modified, node.changed) = (now, now);
        Ok(())
    }

    pub(super) fn set_times(&mut self, number: Number, times: Times) -> Result<(), ErrorCode> {
        let now = self.now();
        let node = self.get_mut(number)?;
        node.accessed = times.accessed.unwrap_or(node.accessed);
        node.modified = times.modified.unwrap_or(node.modified);
        node.changed = now;
        Ok(())
    }

    /// How many directories `dir` stands in, as far as that may be.
    pub(super) fn depth(&self, dir: Number) -> Result<usize, ErrorCode> {
        Ok(self.above(dir)?.len())
    }

    /// The directories above `dir`, nearest first.
    pub(super) fn above(&self, dir: Number) -> Result<Vec<Number>, ErrorCode> {
        let (mut above, mut here) = (Vec::new(), dir);
        while here != Self::ROOT {
            if above.len() == DEEPEST {
                return Err(ErrorCode::NameTooLong);
            }
            here = self.get(here)?.dir()?.parent;
            above.push(here);
        }
        Ok(above)
    }

    /// Changes the price of a file's contents.
    fn charge(&self, held: u64, wanted: u64) -> Result<(), ErrorCode> {
        self.budget.change(Pages::price(held), Pages::price(wanted))
    }

    /// Refuses a directory that was removed and is still open.
    pub(super) fn writable(&self, dir: Number) -> Result<(), ErrorCode> {
        let node = self.get(dir)?;
        node.dir()?;
        match node.links {
            0 => Err(ErrorCode::NoEntry),
            _ => Ok(()),
        }
    }

    /// Enters a name that is paid for.
    fn enter(&mut self, dir: Number, name: Box<str>, number: Number) -> Result<(), ErrorCode> {
        let now = self.now();
        let parent = self.get_mut(dir)?;
        parent.dir_mut()?.names.insert(name, number);
        (parent.modified, parent.changed) = (now, now);
        let node = self.get_mut(number)?;
        node.links += 1;
        node.changed = now;
        if let Body::Dir(moved) = &mut node.body {
            moved.parent = dir;
        }
        let height = node.height();
        self.settle(dir, None, height)
    }

    /// Counts anew how high `dir`, and what it stands in, is, where a directory
    /// in it of one height went and one of another came.
    fn settle(
        &mut self,
        mut dir: Number,
        mut went: Option<u16>,
        mut came: Option<u16>,
    ) -> Result<(), ErrorCode> {
        while went != came {
            let here = self.get_mut(dir)?.dir_mut()?;
            let before = here.height();
            came.into_iter().for_each(|height| here.came(height));
            went.into_iter().for_each(|height| here.went(height));
            if dir == Self::ROOT {
                break;
            }
            (went, came) = (Some(before), Some(here.height()));
            dir = here.parent;
        }
        Ok(())
    }

    fn name_price(name: &str) -> u64 {
        NAME + name.len() as u64
    }
}
