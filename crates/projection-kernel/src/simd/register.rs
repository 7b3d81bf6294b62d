//! What tokens of vector registers share: moving plain values between memory and registers, and
//! calling functions that need instructions.

/// Types of which every pattern of bits is a value.
///
/// # Safety
/// The type has no padding and no invalid pattern of bits.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: an array of plain values has neither padding nor invalid patterns.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

macro_rules! plain {
    ($($type:ty),*) => {
        // SAFETY: numbers and vectors of numbers have neither padding nor invalid patterns.
        $(unsafe impl $crate::simd::register::Plain for $type {})*
    };
}
pub(super) use plain;

plain!(f32, u16, i8, u8, i32);

/// Reads a value of another type with the same number of bytes, whatever its alignment.
#[inline(always)]
pub(super) fn read<A: Plain, B: Plain>(from: &A) -> B {
    const { assert!(size_of::<A>() == size_of::<B>()) };
    // SAFETY: the reference is valid for as many bytes as are read, and all bits are valid.
    unsafe { std::ptr::from_ref(from).cast::<B>().read_unaligned() }
}

/// Writes a value over one of another type with the same number of bytes.
#[inline(always)]
pub(super) fn write<A: Plain, B: Plain>(value: B, to: &mut A) {
    const { assert!(size_of::<A>() == size_of::<B>()) };
    // SAFETY: the reference is valid for as many bytes as are written, and all bits are valid.
    unsafe { std::ptr::from_mut(to).cast::<B>().write_unaligned(value) }
}

/// Methods of a token: each calls a safe function that needs the token's instructions.
macro_rules! proven {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $function:path;)*) => {$(
        #[inline(always)]
        fn $name(self, $($argument: $type),*) $(-> $result)? {
            // SAFETY: the token exists, so that the CPU has the instructions.
            #[allow(unused_unsafe)]
            unsafe { $function($($argument),*) }
        }
    )*};
}
pub(super) use proven;
