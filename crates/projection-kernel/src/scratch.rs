//! Thread-local scratch buffers, so that a warm thread projects without allocating.

use std::any::Any;
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// A buffer of more bytes than this is freed when it is dropped: work of that size takes far
/// longer than an allocation. It holds a hundred thousand scores in double precision.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// Buffers that a thread keeps at most. A query holds fewer at a time; without a limit, a thread
/// that only drops buffers made by others would collect them.
const MAX_KEPT: usize = 32;

/// A vector whose memory is reused: it comes from the buffers that this thread has dropped
/// before, and goes back to those of the thread that drops it.
// The box is what KEPT holds, so that keeping a buffer does not allocate.
#[allow(clippy::box_collection)]
#[derive(Debug, PartialEq)]
pub struct Scratch<T: Copy + 'static>(Option<Box<Vec<T>>>);

thread_local! {
    /// Empty buffers of any type, each a `Box<Vec<T>>`.
    static KEPT: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

impl<T: Copy + 'static> Scratch<T> {
    /// An empty buffer.
    pub fn new() -> Self {
        let reused = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let at = kept.iter().rposition(|buffer| buffer.is::<Vec<T>>())?;
            kept.swap_remove(at).downcast().ok()
        });
        Self(Some(reused.ok().flatten().unwrap_or_default()))
    }

    /// A buffer of `count` times `value`.
    pub fn filled(count: usize, value: T) -> Self {
        let mut scratch = Self::new();
        scratch.resize(count, value);
        scratch
    }
}

impl<T: Copy + 'static> Default for Scratch<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + 'static> Drop for Scratch<T> {
    fn drop(&mut self) {
        let Some(mut buffer) = self.0.take() else { return };
        if buffer.capacity() * size_of::<T>() > MAX_KEPT_BYTES {
            return;
        }
        buffer.clear();
        // A thread that is about to end keeps nothing.
        _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT {
                kept.push(buffer);
            }
        });
    }
}

impl<T: Copy + 'static> FromIterator<T> for Scratch<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut scratch = Self::new();
        scratch.extend(values);
        scratch
    }
}

impl<T: Copy + 'static> Deref for Scratch<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        self.0.as_deref().expect("a buffer is taken only when it is dropped")
    }
}

impl<T: Copy + 'static> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        self.0.as_deref_mut().expect("a buffer is taken only when it is dropped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_but_never_its_content() {
        let mut first = Scratch::filled(1000, 7.0f32);
        first.push(1.0);
        let address = first.as_ptr();
        let second: Scratch<f32> = [1.0, 2.0].into_iter().collect();
        assert_ne!(second.as_ptr(), address);
        drop(first);
        drop(Scratch::filled(10, 1u8));
        let again = Scratch::filled(1000, 0.5f32);
        assert_eq!(again.as_ptr(), address);
        assert!(again.len() == 1000 && again.iter().all(|value| *value == 0.5));
        assert_eq!(**second, [1.0, 2.0]);
    }

    #[test]
    fn few_and_no_large_buffers_are_kept() {
        drop(Scratch::filled(MAX_KEPT_BYTES + 1, 0u8));
        assert_eq!(Scratch::<u8>::new().capacity(), 0);
        drop((0..100).map(|_| Scratch::filled(8, 0usize)).collect::<Vec<_>>());
        assert_eq!(KEPT.with(|kept| kept.borrow().len()), MAX_KEPT);
    }
}
