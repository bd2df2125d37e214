//! The guest's allocator.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its trait, and keeps raw pointers"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Sizes of blocks differ by as much, in bytes.
const STEP: usize = 16;

/// What the system's blocks are aligned to in any case, in bytes. A larger
/// alignment takes it another way, which is slow.
const ALIGN: usize = 8;

/// Sizes of which blocks are kept: up to 1 KiB.
const CLASSES: usize = 64;

/// Most bytes of one size that are kept.
const KEPT: usize = 8 << 10;

/// The system's allocator, with small blocks that were freed kept at hand.
///
/// An RPC call makes some forty small allocations in a guest, which took an
/// eighth of its time with the system's allocator alone. What is kept has an
/// upper bound of half a megabyte, and is bounded for each size by what the
/// guest has once had of it.
#[derive(Debug)]
pub(crate) struct Allocator {
    classes: UnsafeCell<[Class; CLASSES]>,
}

/// Free blocks of one size.
#[derive(Clone, Copy, Debug)]
struct Class {
    /// The first free block, which holds the address of the next one.
    first: *mut Block,
    blocks: usize,
}

struct Block {
    next: *mut Self,
}

// SAFETY: this is built for WebAssembly without threads alone, so nobody can
// share it.
#[cfg(not(target_feature = "atomics"))]
unsafe impl Sync for Allocator {}

impl Allocator {
    /// An allocator that keeps nothing yet.
    pub(crate) const fn new() -> Self {
        let empty = Class {
            first: ptr::null_mut(),
            blocks: 0,
        };
        Self {
            classes: UnsafeCell::new([empty; CLASSES]),
        }
    }

    /// The kept blocks that have room for `layout`, and how large they are.
    /// None where blocks of its kind are not kept.
    fn class(&self, layout: Layout) -> Option<(*mut Class, Layout)> {
        let index = layout.size().div_ceil(STEP).checked_sub(1)?;
        if index >= CLASSES || layout.align() > ALIGN {
            return None;
        }
        let whole = Layout::from_size_align((index + 1) * STEP, ALIGN).ok()?;
        // SAFETY: the index is within the array.
        Some((
            unsafe { self.classes.get().cast::<Class>().add(index) },
            whole,
        ))
    }
}

impl Default for Allocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: a block of a class is a block of the system's with that class's
// layout, in the hands of the caller or in the list of that class. The class
// follows from the caller's layout alone, so it is the same when a block comes
// back. No reference to a class outlives a call, and the system's allocator
// does not call this one.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((class, whole)) = self.class(layout) else {
            return unsafe { System.alloc(layout) };
        };
        let class = unsafe { &mut *class };
        if class.first.is_null() {
            return unsafe { System.alloc(whole) };
        }
        let block = class.first;
        class.first = unsafe { (*block).next };
        class.blocks -= 1;
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((class, whole)) = self.class(layout) else {
            return unsafe { System.dealloc(block, layout) };
        };
        let class = unsafe { &mut *class };
        if class.blocks >= KEPT / whole.size() {
            return unsafe { System.dealloc(block, whole) };
        }
        let block = block.cast::<Block>();
        unsafe { (*block).next = class.first };
        class.first = block;
        class.blocks += 1;
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.class(layout).is_none() {
            return unsafe { System.alloc_zeroed(layout) };
        }
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return ptr::null_mut();
        };
        match (self.class(layout), self.class(wanted)) {
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (Some((old, _)), Some((new, _))) if ptr::eq(old, new) => block,
            _ => {
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    let kept = layout.size().min(size);
                    unsafe {
                        moved.copy_from_nonoverlapping(block, kept);
                        self.dealloc(block, layout);
                    }
                }
                moved
            }
        }
    }
}
