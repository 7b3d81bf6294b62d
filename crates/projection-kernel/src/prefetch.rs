//! How rows are read, by the size of their matrix.

/// Bytes that memory gives at a time.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// How to read the rows of a matrix of a certain size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefetchHint {
    /// They lie in the second-level cache.
    Cached,
    /// The same, from the last one to the first.
    Reversed,
    /// Rows to come are asked for early.
    Ahead,
    /// The memory is the limit. It finds by itself what comes next in single precision; dot
    /// products with compact rows, of which more go by in the same time, ask early here too.
    Streaming,
}

impl PrefetchHint {
    /// The sizes in bytes between which asking early helps. A model has two such
    /// matrices; where both together no longer lie in the last cache, what was asked for early
    /// takes the memory's time from what is needed now.
    const AHEAD: std::ops::Range<usize> = 800 << 10..8 << 20;

    /// For all rows of a model, even where they are read in several calls.
    pub fn of(rows: &[f32]) -> Self {
        Self::of_size(size_of_val(rows))
    }

    /// The same by the size in bytes.
    pub fn of_size(size: usize) -> Self {
        match size {
            size if size < Self::AHEAD.start => Self::Cached,
            size if size < Self::AHEAD.end => Self::Ahead,
            _ => Self::Streaming,
        }
    }

    /// The same without [`Cached`](Self::Cached), the one way whose products differ in the last
    /// bit from those of a batch.
    pub fn as_in_batches(self) -> Self {
        if self == Self::Cached { Self::Streaming } else { self }
    }
}

/// Rows of bytes that are asked for early lie so many rows ahead: they are worked off so fast
/// that less than six kilobytes would come too late.
pub(super) fn lead(width: usize) -> usize {
    (6usize << 10).div_ceil(width)
}

/// Asks for values that are read soon and lie where the hardware does not expect it.
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(values)).step_by(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every CPU of this kind has the instruction, and it changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().cast::<i8>().wrapping_add(at)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}
