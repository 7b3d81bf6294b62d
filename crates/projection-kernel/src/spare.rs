//! Memory that is used again: what a query needs while it is answered, its thread keeps for
//! the next one, so that answering takes none from the system.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// A thread keeps no memory of more bytes than this at a time, enough for a hundred thousand
/// heads in double precision. Beyond that the work itself takes far longer than taking memory.
const LARGEST: usize = 1 << 20;

/// A thread keeps no more vectors of a type than this: more than a query ever has at a time.
/// Whoever drops what other threads have made would keep more and more.
const MOST: usize = 16;

/// Whether anything is kept. Where the binary is to be small, asking for memory is a few
/// instructions in the same binary, and the keeping would be many more.
pub const KEEPS: bool = cfg!(not(target_arch = "wasm32"));

/// A vector whose memory comes from the thread that makes it and goes to the thread that drops
/// it. Every thread owns what it keeps, and gives it back when it ends.
#[derive(Debug, PartialEq)]
pub struct Spare<T: Kept>(Vec<T>);

/// Values of which threads keep memory, see [`kept`].
pub trait Kept: Copy + 'static {
    /// Calls `work` with what this thread keeps, unless the thread is about to end.
    fn with_kept<R>(work: impl FnOnce(&RefCell<Vec<Vec<Self>>>) -> R) -> Option<R>;
}

/// Lets threads keep memory for values of these types.
#[macro_export]
#[doc(hidden)]
macro_rules! kept {
    ($($of:ty),*) => {$(
        impl $crate::spare::Kept for $of {
            fn with_kept<R>(
                work: impl FnOnce(&std::cell::RefCell<Vec<Vec<Self>>>) -> R,
            ) -> Option<R> {
                thread_local! {
                    static KEPT: std::cell::RefCell<Vec<Vec<$of>>> =
                        const { std::cell::RefCell::new(Vec::new()) };
                }
                if $crate::spare::KEEPS { KEPT.try_with(work).ok() } else { None }
            }
        }
    )*};
}
#[allow(unused_imports)]
pub use crate::kept;

kept!(f32, f64, u8, i8, usize, (f64, usize));

impl<T: Kept> Spare<T> {
    /// No values yet.
    pub fn new() -> Self {
        Self(T::with_kept(|kept| kept.borrow_mut().pop()).flatten().unwrap_or_default())
    }

    /// So many times the same value.
    pub fn filled(count: usize, value: T) -> Self {
        let mut spare = Self::new();
        spare.resize(count, value);
        spare
    }

    /// The vector itself, for what wants to own it; [`from`](Self::from) takes it back.
    pub fn into_vec(mut self) -> Vec<T> {
        std::mem::take(&mut self.0)
    }
}

impl<T: Kept> Default for Spare<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Kept> From<Vec<T>> for Spare<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T: Kept> Drop for Spare<T> {
    fn drop(&mut self) {
        let mut values = std::mem::take(&mut self.0);
        let size = values.capacity() * size_of::<T>();
        if !KEEPS || size == 0 || size > LARGEST {
            return;
        }
        values.clear();
        T::with_kept(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MOST {
                kept.push(values);
            }
        });
    }
}

impl<T: Kept> FromIterator<T> for Spare<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut spare = Self::new();
        spare.extend(values);
        spare
    }
}

impl<T: Kept> Deref for Spare<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Kept> DerefMut for Spare<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_only_drops_keeps_few() {
        let made: Vec<Spare<usize>> =
            (0..100).map(|_| Spare::from(Vec::with_capacity(8))).collect();
        drop(made);
        assert_eq!(usize::with_kept(|kept| kept.borrow().len()), Some(MOST));
        drop(Spare::from(Vec::<u8>::with_capacity(LARGEST + 1)));
        assert_eq!(u8::with_kept(|kept| kept.borrow().len()), Some(0));
    }

    #[test]
    fn memory_is_used_again_and_never_what_was_in_it() {
        let mut first = Spare::filled(1000, 7.0f32);
        first.push(1.0);
        let place = first.as_ptr();
        let second: Spare<f32> = [1.0, 2.0].into_iter().collect();
        assert_ne!(second.as_ptr(), place);
        drop(first);
        let again = Spare::filled(1000, 0.5f32);
        assert_eq!(again.as_ptr(), place);
        assert!(again.len() == 1000 && again.iter().all(|value| *value == 0.5));
        assert_eq!(**second, [1.0, 2.0]);
    }

    #[test]
    fn what_is_very_large_is_not_kept() {
        drop(Spare::filled(LARGEST + 1, 0u8));
        assert!(Spare::<u8>::new().capacity() <= LARGEST);
        drop(Spare::filled(LARGEST / 2, 0u8));
        assert!(Spare::<u8>::new().capacity() >= LARGEST / 2);
    }
}
