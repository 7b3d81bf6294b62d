//! An allocator for tests that look at what is allocated.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, which tells a function the size of each request.
pub struct Observed(pub fn(usize));

// SAFETY: every request goes to the system's allocator unchanged, which keeps the contract.
unsafe impl GlobalAlloc for Observed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        (self.0)(layout.size());
        // SAFETY: the caller promises that the layout has a size above zero.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        (self.0)(layout.size());
        // SAFETY: the caller promises that the layout has a size above zero.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        (self.0)(size);
        // SAFETY: the caller promises a block of this layout from this allocator, whose blocks are
        // the system's, and a size that is valid for it.
        unsafe { System.realloc(start, layout, size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller promises a block of this layout from this allocator, whose blocks are
        // the system's.
        unsafe { System.dealloc(start, layout) }
    }
}
