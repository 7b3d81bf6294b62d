//! The vectors of models and indexes: row-major matrices that are shared, never copied.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};

/// Where owned rows start: a multiple of a cache line, which is also the widest register.
pub const ALIGNMENT: usize = 64;

/// From this size on, memory is requested in huge pages: fewer address translations make
/// reading a large model some percent faster.
const HUGE: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// A row-major matrix of plain numbers, single precision unless said otherwise. Clones share
/// the memory.
///
/// Owned rows start at a multiple of `ALIGNMENT`; rows of a mapped file wherever the file
/// has them. Between rows there is no padding.
pub struct Rows<T: Copy = f32> {
    /// `values` initialised values, which nobody changes while more than one owner exists.
    start: NonNull<T>,
    values: usize,
    width: usize,
    owner: Owner,
}

impl<T: Copy> Clone for Rows<T> {
    fn clone(&self) -> Self {
        Self { owner: self.owner.clone(), ..*self }
    }
}

#[derive(Clone)]
enum Owner {
    Memory(Arc<Memory>),
    /// Only keeps the bytes alive.
    Mapped {
        _bytes: Arc<dyn StableBytes>,
    },
}

/// Bytes that may back [`Rows`].
///
/// # Safety
/// [`bytes`](Self::bytes) returns the same slice, at the same place and with the same content,
/// as long as the value lives, wherever the value itself is moved to.
pub unsafe trait StableBytes: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

// SAFETY: shared access to rows only reads them; `push` needs exclusive access and writes
// only where no other owner can read. What keeps the memory alive is `Send + Sync` itself.
unsafe impl<T: Copy + Send> Send for Rows<T> {}
// SAFETY: through a shared reference rows are only read, and `T` may be read from any thread.
unsafe impl<T: Copy + Sync> Sync for Rows<T> {}

impl<T: Copy> Rows<T> {
    /// No rows yet, of `width` values each.
    pub fn new(width: usize) -> Self {
        Self::with_capacity(width, 0)
    }

    /// No rows yet, with memory for `rows` of them.
    pub fn with_capacity(width: usize, rows: usize) -> Self {
        let values = width.checked_mul(rows).expect("rows fit into memory");
        let memory = Memory::for_values::<T>(values);
        Self {
            start: memory.start.cast(),
            values: 0,
            width,
            owner: Owner::Memory(Arc::new(memory)),
        }
    }

    /// A copy of `values`, which are whole rows.
    pub fn from_values(width: usize, values: &[T]) -> Self {
        let mut rows = Self::with_capacity(width, values.len() / width.max(1));
        rows.push(values);
        rows
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.values.checked_div(self.width).unwrap_or(0)
    }

    /// The row with this number.
    pub fn row(&self, number: usize) -> &[T] {
        &self[number * self.width..(number + 1) * self.width]
    }

    /// Adds `values`, which are whole rows. Where the memory is shared or mapped, or full,
    /// everything is copied first.
    pub fn push(&mut self, values: &[T]) {
        assert!(self.width > 0 && values.len().is_multiple_of(self.width), "whole rows");
        let total = self.values.checked_add(values.len()).expect("rows fit into memory");
        let memory = match &mut self.owner {
            Owner::Memory(memory) => Arc::get_mut(memory),
            Owner::Mapped { .. } => None,
        };
        if memory.is_none_or(|memory| memory.size / size_of::<T>() < total) {
            let capacity = if self.values == 0 { total } else { total.max(2 * self.values) };
            let memory = Memory::for_values::<T>(capacity);
            // SAFETY: the old values are initialised, the new memory holds at least as many,
            // and it was made just now, so that the two cannot overlap.
            unsafe { memory.start.cast().copy_from_nonoverlapping(self.start, self.values) };
            self.start = memory.start.cast();
            self.owner = Owner::Memory(Arc::new(memory));
        }
        // SAFETY: there is memory for `total` values, which this value alone owns now;
        // `values` is borrowed from elsewhere, since `self` is borrowed exclusively.
        unsafe {
            let end = self.start.add(self.values).as_ptr();
            end.copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
        self.values = total;
    }
}

impl<T: Copy> Rows<T> {
    /// Puts the last row in the place of the row with this number, which is gone then. Where
    /// the memory is shared or mapped, everything is copied first.
    pub fn swap_remove(&mut self, number: usize) {
        let last = self.count() - 1;
        assert!(number <= last);
        self.make_own();
        if number != last {
            // SAFETY: both rows lie inside the values, which this value alone owns now, and
            // they are different ones.
            unsafe {
                let (from, to) =
                    (self.start.add(last * self.width), self.start.add(number * self.width));
                to.copy_from_nonoverlapping(from, self.width);
            }
        }
        self.values = last * self.width;
    }

    /// Puts `values` in the place of the row with this number. Where the memory is shared or
    /// mapped, everything is copied first.
    pub fn set(&mut self, number: usize, values: &[T]) {
        assert!(number < self.count() && values.len() == self.width, "one of the rows");
        self.make_own();
        // SAFETY: the row lies inside the values, which this value alone owns now; `values` is
        // borrowed from elsewhere, since `self` is borrowed exclusively.
        unsafe {
            let row = self.start.add(number * self.width).as_ptr();
            row.copy_from_nonoverlapping(values.as_ptr(), self.width);
        }
    }

    /// Copies everything unless this value alone owns the memory.
    fn make_own(&mut self) {
        let owned = match &mut self.owner {
            Owner::Memory(memory) => Arc::get_mut(memory).is_some(),
            Owner::Mapped { .. } => false,
        };
        if !owned {
            *self = Self::from_values(self.width, self);
        }
    }
}

/// Numbers as files hold them, in little-endian order.
///
/// # Safety
/// Every content of as many bytes as the type has is a value of it.
pub unsafe trait Plain: Copy {
    /// The value in the first bytes of `bytes`.
    fn from_le(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($number:ty),*) => {$(
        // SAFETY: numbers are what all their bits make of them.
        unsafe impl Plain for $number {
            fn from_le(bytes: &[u8]) -> Self {
                let (bytes, _) = bytes.split_first_chunk().expect("a whole value");
                <$number>::from_le_bytes(*bytes)
            }
        }
    )*};
}

plain!(f32, f64, u16, i8);

impl<T: Plain> Rows<T> {
    /// The `rows` × `width` little-endian values that start at `offset` of `bytes`, where
    /// they lie; copied only where the machine cannot read them there.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArray`] where they do not lie inside `bytes`.
    pub fn mapped(
        bytes: Arc<dyn StableBytes>,
        offset: usize,
        rows: usize,
        width: usize,
    ) -> Result<Self> {
        let whole = bytes.bytes();
        let values = rows.checked_mul(width);
        let end = values.and_then(|values| values.checked_mul(size_of::<T>())?.checked_add(offset));
        let (Some(values), Some(part)) = (values, end.and_then(|end| whole.get(offset..end)))
        else {
            return Err(Error::new(
                ErrorKind::InvalidArray,
                format!("{rows} × {width} values at byte {offset} of {}", whole.len()),
            ));
        };
        let start = part.as_ptr().cast::<T>();
        if cfg!(target_endian = "little") && start.is_aligned() {
            let start = NonNull::new(start.cast_mut()).expect("a slice's start is never null");
            return Ok(Self { start, values, width, owner: Owner::Mapped { _bytes: bytes } });
        }
        Ok(Self::from_le_bytes(width, part))
    }

    /// A copy of little-endian values, which are whole rows.
    pub fn from_le_bytes(width: usize, bytes: &[u8]) -> Self {
        let (values, rest) = (bytes.len() / size_of::<T>(), bytes.len() % size_of::<T>());
        if cfg!(target_endian = "big") {
            let values: Vec<T> = bytes.chunks_exact(size_of::<T>()).map(T::from_le).collect();
            return Self::from_values(width, &values);
        }
        let memory = Memory::of_bytes(&bytes[..bytes.len() - rest]);
        Self { start: memory.start.cast(), values, width, owner: Owner::Memory(Arc::new(memory)) }
    }
}

impl<T: Copy> Deref for Rows<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` points to `values` initialised values, which `owner` keeps alive
        // and which no one changes while they are borrowed.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.values) }
    }
}

impl<T: Copy> Default for Rows<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T: Copy> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} × {})", self.count(), self.width)
    }
}

/// So many bytes of memory, not initialised, for values of any type whose alignment is at
/// most [`ALIGNMENT`].
struct Memory {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: nothing but memory, to be used from any thread.
unsafe impl Send for Memory {}
// SAFETY: a shared reference gives no access to what is in the memory, only to where it is.
unsafe impl Sync for Memory {}

impl Memory {
    fn for_values<T>(values: usize) -> Self {
        const { assert!(align_of::<T>() <= ALIGNMENT) };
        Self::of_size(values.checked_mul(size_of::<T>()).expect("rows fit into memory"))
    }

    /// A copy of bytes.
    fn of_bytes(bytes: &[u8]) -> Self {
        let memory = Self::of_size(bytes.len());
        // SAFETY: the memory holds as many bytes, and it was made just now.
        unsafe { memory.start.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        memory
    }

    fn of_size(size: usize) -> Self {
        if size == 0 {
            let start = std::ptr::without_provenance_mut(ALIGNMENT);
            return Self { start: NonNull::new(start).expect("not zero"), size };
        }
        let layout = Self::layout(size);
        // SAFETY: the size is not zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        #[cfg(all(target_os = "linux", not(target_arch = "wasm32")))]
        if size >= HUGE {
            // SAFETY: the advice concerns exactly this allocation, which begins at a page,
            // and changes none of its content. Where it is refused, pages stay small.
            unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
        }
        Self { start, size }
    }

    fn layout(size: usize) -> Layout {
        let align =
            if size >= HUGE && cfg!(not(target_arch = "wasm32")) { HUGE_PAGE } else { ALIGNMENT };
        Layout::from_size_align(size, align).expect("rows fit into memory")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.size > 0 {
            // SAFETY: allocated in `for_values` with this layout.
            unsafe { dealloc(self.start.as_ptr(), Self::layout(self.size)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: a vector that nobody can reach to change keeps its bytes where they are.
    unsafe impl StableBytes for Vec<u8> {
        /// The bytes.
        fn bytes(&self) -> &[u8] {
            self
        }
    }

    #[test]
    fn rows_grow_and_clones_keep_theirs() {
        let mut rows = Rows::new(3);
        assert_eq!((rows.count(), rows.len()), (0, 0));
        rows.push(&[1.0, 2.0, 3.0]);
        let before = rows.clone();
        rows.push(&[4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        for number in 0..1000 {
            rows.push(&[number as f32; 3]);
        }
        assert_eq!(&before[..], [1.0, 2.0, 3.0]);
        assert_eq!(
            (rows.count(), rows.row(1), rows.row(1002)),
            (1003, &[4.0, 5.0, 6.0][..], &[999.0; 3][..])
        );
        assert_eq!(rows.as_ptr() as usize % ALIGNMENT, 0);
        drop(rows);
        assert_eq!(before.row(0), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn the_last_row_takes_the_place_of_a_removed_one() {
        let mut rows = Rows::from_values(2, &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5]);
        let before = rows.clone();
        rows.swap_remove(0);
        assert_eq!(&rows[..], [3.0, 3.5, 2.0, 2.5]);
        rows.swap_remove(1);
        rows.push(&[7.0, 7.5]);
        rows.swap_remove(0);
        assert_eq!(&rows[..], [7.0, 7.5]);
        rows.swap_remove(0);
        assert_eq!(rows.count(), 0);
        assert_eq!(before.count(), 3);
        assert_eq!(before.row(0), [1.0, 1.5]);
        let bytes: Arc<dyn StableBytes> = Arc::new(vec![0u8; 64]);
        let mut mapped = Rows::<f32>::mapped(bytes, 0, 4, 4).unwrap();
        mapped.swap_remove(1);
        assert_eq!(&mapped[..], [0.0; 12]);
    }

    #[test]
    fn large_rows_lie_in_huge_pages() {
        let mut rows = Rows::with_capacity(1 << 10, 1 << 11);
        rows.push(&vec![0.5; 1 << 20]);
        assert_eq!(rows.as_ptr() as usize % HUGE_PAGE, 0);
        assert!(rows.iter().all(|value| *value == 0.5));
    }

    #[test]
    fn mapped_rows_lie_in_their_bytes() {
        let values = [1.0f32, -2.0, 3.5, 0.25];
        for shift in 0..8 {
            let mut bytes = vec![0xff; shift];
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            let bytes: Arc<dyn StableBytes> = Arc::new(bytes);
            let place = bytes.bytes()[shift..].as_ptr().cast();
            let mut rows = Rows::<f32>::mapped(bytes.clone(), shift, 2, 2).unwrap();
            assert_eq!(rows.as_ptr() == place, place.is_aligned());
            drop(bytes);
            assert_eq!((rows.count(), rows.row(1)), (2, &[3.5, 0.25][..]));
            rows.push(&[7.0, 8.0]);
            assert_eq!(&rows[..], [1.0, -2.0, 3.5, 0.25, 7.0, 8.0]);
        }
    }

    #[test]
    fn mapped_rows_must_lie_inside() {
        let bytes: Arc<dyn StableBytes> = Arc::new(vec![0u8; 64]);
        for (offset, rows, width) in [
            (0, 17, 1),
            (4, 4, 4),
            (65, 0, 4),
            (usize::MAX, 1, 1),
            (0, usize::MAX, 2),
            (8, usize::MAX / 4, 1),
        ] {
            let error = Rows::<f32>::mapped(bytes.clone(), offset, rows, width).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArray, "{offset} {rows} {width}");
        }
        assert_eq!(Rows::<f32>::mapped(bytes, 64, 0, 4).unwrap().count(), 0);
    }
}
