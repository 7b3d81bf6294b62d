//! Memory that the caller fills and reads.

use std::alloc::{Layout, alloc, dealloc};

/// Enough for every type that crosses the border, and for registers.
const ALIGNMENT: usize = 16;

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.max(1), ALIGNMENT).ok()
}

/// So many bytes, not initialised; null where there is no such memory.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(size: usize) -> *mut u8 {
    match layout(size) {
        // The size is not zero.
        Some(layout) => unsafe { alloc(layout) },
        None => std::ptr::null_mut(),
    }
}

/// Gives memory of [`allocate`] back, with the size that was asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn release(memory: *mut u8, size: usize) {
    if let Some(layout) = layout(size)
        && !memory.is_null()
    {
        unsafe { dealloc(memory, layout) };
    }
}
