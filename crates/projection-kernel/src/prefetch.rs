//! Asking the CPU for values before they are needed.

use std::cell::Cell;

/// Bytes that memory delivers at a time.
const LINE: usize = 64;

/// How the rows of a matrix reach the CPU, which depends on the size of the whole matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefetchHint {
    /// The matrix lies in the second-level cache.
    Cached,
    /// Later rows are requested early.
    Ahead,
    /// All vectors of a model are a little larger than the first-level cache. Read in the same
    /// order by query after query, each would displace the one that is needed next. So every
    /// other query reads them backwards, and begins with what the one before it has read last.
    Alternating {
        /// Whether this query reads the last vectors first, which changes no result.
        backwards: bool,
    },
    /// Memory is the limit, and detects by itself what comes next in single precision. Dot
    /// products with quantized rows, of which more pass in the same time, still request early.
    Streaming,
}

impl PrefetchHint {
    /// The sizes in bytes between which requesting early helps. A model has two such matrices:
    /// where both no longer fit into the last cache, early requests take the memory's time from
    /// what is needed now.
    const AHEAD: std::ops::Range<usize> = 800 << 10..8 << 20;

    /// The hint for a matrix, even if it is read in several calls.
    pub fn of<T>(matrix: &[T]) -> Self {
        match size_of_val(matrix) {
            size if size < Self::AHEAD.start => Self::Cached,
            size if size < Self::AHEAD.end => Self::Ahead,
            _ => Self::Streaming,
        }
    }

    /// The same without [`Cached`](Self::Cached), the only one of these hints with which the last
    /// bits of dot products differ from those of a batch.
    pub fn as_in_batches(self) -> Self {
        if self == Self::Cached { Self::Streaming } else { self }
    }

    /// [`Alternating`](Self::Alternating) if it helps for so many bytes of vectors.
    pub(crate) fn alternating(bytes: usize) -> Option<Self> {
        thread_local! {
            static BACKWARDS: Cell<bool> = const { Cell::new(false) };
        }
        (48 << 10..64 << 10).contains(&bytes).then(|| {
            let backwards = BACKWARDS.replace(!BACKWARDS.get());
            Self::Alternating { backwards }
        })
    }
}

/// Requests values that are read soon and lie where the hardware does not expect it.
pub fn prefetch<T>(values: &[T]) {
    for at in (0..size_of_val(values)).step_by(LINE) {
        prefetch_line::<T, true>(values.as_ptr().wrapping_byte_add(at));
    }
}

/// Requests the line at an address, which need not be valid: into the first-level cache if
/// `NEAR`, else into the second.
#[inline(always)]
pub(crate) fn prefetch_line<T, const NEAR: bool>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: every CPU of this kind has the instruction, which changes no memory and
        // ignores addresses that are not valid.
        unsafe {
            match NEAR {
                true => _mm_prefetch::<_MM_HINT_T0>(at.cast()),
                false => _mm_prefetch::<_MM_HINT_T1>(at.cast()),
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
