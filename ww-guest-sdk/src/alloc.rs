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
const KEPT: usize = 32 << 10;

/// The system's allocator, with small blocks that were freed kept at hand.
///
/// An RPC call makes some forty small allocations in a guest, which took an
/// eighth of its time with the system's allocator alone. What is kept has an
/// upper bound of two megabytes, and is bounded for each size by what the
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
    /// How many more are kept.
    room: usize,
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
        let mut classes = [Class {
            first: ptr::null_mut(),
            room: 0,
        }; CLASSES];
        let mut index = 0;
        while index < CLASSES {
            classes[index].room = KEPT / size(index);
            index += 1;
        }
        Self {
            classes: UnsafeCell::new(classes),
        }
    }

    /// The kept blocks of the class `index`, where there is one.
    fn class(&self, index: usize) -> Option<*mut Class> {
        // SAFETY: the index is within the array.
        (index < CLASSES).then(|| unsafe { self.classes.get().cast::<Class>().add(index) })
    }
}

/// The class of blocks for `layout`, or no class where its kind is not kept.
/// Every allocation goes through this, so it takes as few steps as can be.
const fn class(layout: Layout) -> usize {
    match layout.align() <= ALIGN {
        // No bytes at all come out beyond the last class.
        true => layout.size().wrapping_sub(1) / STEP,
        false => CLASSES,
    }
}

/// Bytes of each block of a class.
const fn size(index: usize) -> usize {
    (index + 1) * STEP
}

/// The layout of each block of a class.
fn whole(index: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and a class's blocks are small.
    unsafe { Layout::from_size_align_unchecked(size(index), ALIGN) }
}

/// The system's allocation. Apart, so that what it needs of registers and of the
/// stack is not set up where a block that was kept is at hand.
#[cold]
#[inline(never)]
unsafe fn alloc(layout: Layout) -> *mut u8 {
    unsafe { System.alloc(layout) }
}

/// The same the other way.
#[cold]
#[inline(never)]
unsafe fn dealloc(block: *mut u8, layout: Layout) {
    unsafe { System.dealloc(block, layout) };
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
        let index = class(layout);
        let Some(class) = self.class(index) else {
            return unsafe { alloc(layout) };
        };
        let class = unsafe { &mut *class };
        if class.first.is_null() {
            return unsafe { alloc(whole(index)) };
        }
        let block = class.first;
        class.first = unsafe { (*block).next };
        class.room += 1;
        block.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let index = class(layout);
        let Some(class) = self.class(index) else {
            return unsafe { dealloc(block, layout) };
        };
        let class = unsafe { &mut *class };
        if class.room == 0 {
            return unsafe { dealloc(block, whole(index)) };
        }
        let block = block.cast::<Block>();
        unsafe { (*block).next = class.first };
        class.first = block;
        class.room -= 1;
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if class(layout) >= CLASSES {
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
        let (old, new) = (class(layout), class(wanted));
        if old >= CLASSES && new >= CLASSES {
            return unsafe { System.realloc(block, layout, size) };
        }
        if old == new {
            return block;
        }
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
