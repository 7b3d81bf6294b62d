//! The engine's memory allocator. The standard library's takes six kilobytes, a twentieth of
//! the engine; this one less than one.
//!
//! Small blocks are of powers of two. A free one waits in the list of its size for the next
//! of that size, so that taking and giving back are a few instructions however many there
//! are, and memory is never more than the most there ever was of each size. Large blocks are
//! taken from the first free run that is large enough; runs that touch become one, and the
//! last one becomes memory that was never given out.

use std::alloc::Layout;
use std::ptr;

/// What every block from this size on is aligned to. No type that is used here needs more.
const UNIT: usize = 64;

/// Sizes of small blocks: from one power of two to another.
const SMALLEST: usize = 16;
const LARGEST: usize = 1 << 16;
const CLASSES: usize = (LARGEST / SMALLEST).trailing_zeros() as usize + 1;

/// Sizes of large blocks are multiples of this.
const STEP: usize = 4096;

/// Memory between two ends, and what of it is free. Whoever holds it owns this memory.
pub(crate) struct Heap {
    free: [*mut Block; CLASSES],
    /// In the order of their addresses, none of which touches the next.
    runs: *mut Run,
    /// What was never given out: a multiple of [`UNIT`] bytes at a multiple of it.
    top: *mut u8,
    left: usize,
}

/// A free small block.
struct Block {
    next: *mut Block,
}

/// A free large block.
struct Run {
    next: *mut Run,
    size: usize,
}

/// What is taken for so many bytes; `None` where that is more than there are.
fn taken(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(SMALLEST);
    match size {
        ..=LARGEST => Some(size.next_power_of_two()),
        _ => size.checked_next_multiple_of(STEP),
    }
}

impl Heap {
    pub const fn new() -> Self {
        let free = [ptr::null_mut(); CLASSES];
        Self { free, runs: ptr::null_mut(), top: ptr::null_mut(), left: 0 }
    }

    /// A block of this layout, null where there is none. `more` gives where so many more bytes
    /// begin, at a multiple of [`UNIT`], and how many they are.
    ///
    /// # Safety
    /// What `more` gives is memory of nobody else, and lives as long as this.
    pub unsafe fn take(
        &mut self,
        layout: Layout,
        more: impl FnOnce(usize) -> Option<(*mut u8, usize)>,
    ) -> *mut u8 {
        let Some(size) = taken(layout).filter(|_| layout.align() <= UNIT) else {
            return ptr::null_mut();
        };
        // SAFETY: blocks and runs in lists are free memory of this heap, as large as the list
        // says and aligned for their heads.
        unsafe {
            if size > LARGEST {
                let mut link = &mut self.runs;
                while let Some(run) = (*link).as_mut() {
                    if run.size == size {
                        let found = *link;
                        *link = run.next;
                        return found.cast();
                    }
                    if run.size > size {
                        run.size -= size;
                        return (*link).byte_add(run.size).cast();
                    }
                    link = &mut run.next;
                }
                return self.carve(size, more);
            }
            let class = class(size);
            if let Some(block) = self.free[class].as_mut() {
                self.free[class] = block.next;
                return ptr::from_mut(block).cast();
            }
            let block = self.carve(size.max(UNIT), more);
            if !block.is_null() {
                for at in (size..UNIT).step_by(size) {
                    self.give_small(block.add(at), class);
                }
            }
            block
        }
    }

    /// So many bytes that were never given out.
    fn carve(
        &mut self,
        size: usize,
        more: impl FnOnce(usize) -> Option<(*mut u8, usize)>,
    ) -> *mut u8 {
        if self.left < size {
            let Some((start, count)) = more(size - self.left) else { return ptr::null_mut() };
            if self.top.wrapping_add(self.left) != start {
                // What was left stays unused; there is none before the first time.
                (self.top, self.left) = (start, 0);
            }
            self.left += count;
            if self.left < size {
                return ptr::null_mut();
            }
        }
        let block = self.top;
        self.top = block.wrapping_add(size);
        self.left -= size;
        block
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It is of [`take`](Self::take) with this layout, and nobody's any more.
    pub unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        let Some(size) = taken(layout) else { return };
        // SAFETY: the block is free memory of as many bytes.
        unsafe {
            match size {
                ..=LARGEST => self.give_small(block, class(size)),
                _ => self.give_large(block.cast(), size),
            }
        }
    }

    unsafe fn give_small(&mut self, block: *mut u8, class: usize) {
        let block: *mut Block = block.cast();
        // SAFETY: by the caller's condition.
        unsafe { block.write(Block { next: self.free[class] }) };
        self.free[class] = block;
    }

    unsafe fn give_large(&mut self, block: *mut Run, size: usize) {
        // SAFETY: by the caller's condition; runs are as large as they say.
        unsafe {
            let mut link = &mut self.runs;
            while !link.is_null() && *link < block {
                link = &mut (**link).next;
            }
            block.write(Run { next: *link, size });
            *link = block;
            // The new run may touch those before and after it, and the top.
            let mut link = &mut self.runs;
            while let Some(run) = (*link).as_mut() {
                let end = (*link).byte_add(run.size);
                if end == run.next {
                    run.size += (*run.next).size;
                    run.next = (*run.next).next;
                    continue;
                }
                if end.cast() == self.top {
                    self.top = (*link).cast();
                    self.left += run.size;
                    *link = ptr::null_mut();
                    return;
                }
                link = &mut run.next;
            }
        }
    }

    /// Whether a block of this layout is as large as one of `size` bytes.
    pub fn holds(layout: Layout, size: usize) -> bool {
        let other = Layout::from_size_align(size, layout.align());
        other.is_ok_and(|other| taken(layout) == taken(other))
    }
}

/// The list of small blocks of this size.
fn class(size: usize) -> usize {
    (size / SMALLEST).trailing_zeros() as usize
}

#[cfg(target_family = "wasm")]
mod global {
    use std::alloc::{GlobalAlloc, Layout};
    use std::arch::wasm32::{memory_grow, memory_size};
    use std::cell::UnsafeCell;

    use super::Heap;

    const PAGE: usize = 1 << 16;

    struct Engine(UnsafeCell<Heap>);

    // SAFETY: there is one thread.
    unsafe impl Sync for Engine {}

    #[global_allocator]
    static ENGINE: Engine = Engine(UnsafeCell::new(Heap::new()));

    fn more(size: usize) -> Option<(*mut u8, usize)> {
        let pages = size.div_ceil(PAGE);
        let start = memory_size(0) * PAGE;
        let grown = memory_grow(0, pages) != usize::MAX;
        grown.then(|| (std::ptr::with_exposed_provenance_mut(start), pages * PAGE))
    }

    // SAFETY: blocks are of the sizes and alignments that are asked for, and nobody else's.
    unsafe impl GlobalAlloc for Engine {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: one thread calls it, and memory that was grown is nobody's.
            unsafe { (*self.0.get()).take(layout, more) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: as above, and by the trait's condition.
            unsafe { (*self.0.get()).give(block, layout) }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if Heap::holds(layout, size) {
                return block;
            }
            // SAFETY: by the trait's condition; the new block holds what both sizes have.
            unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    new.copy_from_nonoverlapping(block, size.min(layout.size()));
                    self.dealloc(block, layout);
                }
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory that grows in place up to a limit.
    struct Arena {
        memory: Vec<u64>,
        given: usize,
    }

    impl Arena {
        fn new(size: usize) -> Self {
            Self { memory: vec![0; size / 8 + UNIT / 8], given: 0 }
        }

        fn more(&mut self, size: usize) -> Option<(*mut u8, usize)> {
            let size = size.next_multiple_of(1 << 12);
            let start: *mut u8 = self.memory.as_mut_ptr().cast();
            let start = start.wrapping_add(start.align_offset(UNIT));
            let at = start.wrapping_add(self.given);
            self.given += size;
            (self.given + UNIT <= 8 * self.memory.len()).then_some((at, size))
        }
    }

    fn next(state: &mut u64) -> usize {
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (*state >> 33) as usize
    }

    fn take(heap: &mut Heap, arena: &mut Arena, layout: Layout) -> *mut u8 {
        // SAFETY: the arena gives each of its bytes once, and outlives the heap.
        unsafe { heap.take(layout, |size| arena.more(size)) }
    }

    #[test]
    fn blocks_are_aligned_and_nobody_elses() {
        let (mut heap, mut arena, mut state) = (Heap::new(), Arena::new(64 << 20), 7);
        let mut live: Vec<(*mut u8, Layout, u8)> = Vec::new();
        for round in 0..60_000u32 {
            if live.len() > 200 || (!live.is_empty() && next(&mut state).is_multiple_of(3)) {
                let (block, layout, mark) = live.swap_remove(next(&mut state) % live.len());
                // SAFETY: the block is live and of this layout.
                unsafe {
                    let bytes = std::slice::from_raw_parts(block, layout.size());
                    assert!(bytes.iter().all(|byte| *byte == mark), "round {round}");
                    heap.give(block, layout);
                }
                continue;
            }
            // Of all sizes alike, up to 256 KiB, few of which are powers of two.
            let most = 1 << (next(&mut state) % 19);
            let (size, align) = (1 + next(&mut state) % most, 1 << (next(&mut state) % 7));
            let layout = Layout::from_size_align(size, align).unwrap();
            let block = take(&mut heap, &mut arena, layout);
            assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
            // SAFETY: the block is ours.
            unsafe { block.write_bytes(round as u8, size) };
            live.push((block, layout, round as u8));
        }
        // Two hundred blocks of at most twice what they hold, and what lies between.
        assert!(arena.given < 60 << 20, "{} bytes", arena.given);
    }

    #[test]
    fn what_is_given_back_is_given_out_again() {
        let (mut heap, mut arena) = (Heap::new(), Arena::new(8 << 20));
        let large = Layout::from_size_align(1 << 20, 64).unwrap();
        let small = Layout::from_size_align(40, 8).unwrap();
        let whole = Layout::from_size_align(3 << 20, 64).unwrap();
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1], [1, 2, 0], [2, 0, 1]] {
            for _ in 0..100 {
                let blocks = [0; 3].map(|_| take(&mut heap, &mut arena, large));
                let little = take(&mut heap, &mut arena, small);
                // SAFETY: blocks are given back once, with their layouts.
                unsafe {
                    order.iter().for_each(|number| heap.give(blocks[*number], large));
                    heap.give(little, small);
                }
                let one = take(&mut heap, &mut arena, whole);
                assert!(blocks.iter().chain([&little, &one]).all(|block| !block.is_null()));
                // SAFETY: as above.
                unsafe { heap.give(one, whole) };
            }
        }
        assert!(arena.given <= 4 << 20, "{} bytes", arena.given);
    }

    #[test]
    fn too_much_is_refused_and_the_rest_stays() {
        let (mut heap, mut arena) = (Heap::new(), Arena::new(1 << 20));
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        for (size, align) in [(2 << 20, 8), (isize::MAX as usize - 7, 8), (8, 4096)] {
            assert!(take(&mut heap, &mut arena, layout(size, align)).is_null());
            arena.given = 0;
        }
        assert!(!take(&mut heap, &mut arena, layout(1000, 8)).is_null());
        assert!(Heap::holds(layout(65, 8), 128) && !Heap::holds(layout(65, 8), 129));
        assert!(!Heap::holds(layout(1 << 16, 8), isize::MAX as usize));
    }
}
