//! The choice of the instruction set.
//!
//! An *operation* is a kernel compiled once for each instruction set of the architecture, see
//! [`operations`]. A call asks for the best [`Level`] of this CPU, which is detected once, and
//! runs the compilation for it. A call costs some nanoseconds, so operations take whole rows or
//! matrices.

use crate::simd::Portable;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};

/// An instruction set that this CPU has, with the token that proves it.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512<true>),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512<false>),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(crate::simd::Neon),
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128(crate::simd::Simd128),
    #[cfg_attr(
        any(target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")),
        allow(dead_code, reason = "every CPU has a vector type, so that only tests use it")
    )]
    Portable(Portable),
}

impl Level {
    /// The best level of this CPU.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn best() -> Self {
        static BEST: std::sync::LazyLock<Level> = std::sync::LazyLock::new(|| {
            let avx512 = Avx512::detect().map(Level::Avx512Vnni);
            let avx512 = avx512.or_else(|| Avx512::detect().map(Level::Avx512));
            let avx2 = || Avx2::detect().map(Level::Avx2);
            avx512.or_else(avx2).unwrap_or(Level::Portable(Portable))
        });
        *BEST
    }

    /// The only level of the build.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    pub fn best() -> Self {
        #[cfg(target_arch = "aarch64")]
        return Self::Neon(crate::simd::Neon);
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        return Self::Simd128(crate::simd::Simd128);
        #[cfg(not(any(
            target_arch = "aarch64",
            all(target_arch = "wasm32", target_feature = "simd128")
        )))]
        Self::Portable(Portable)
    }

    /// Every level of this CPU, for tests.
    #[cfg(test)]
    pub fn available() -> Vec<(&'static str, Self)> {
        let mut levels = vec![("portable", Self::Portable(Portable))];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(
                Avx512::detect().map(|token| ("avx512 with vnni", Self::Avx512Vnni(token))),
            );
            levels.extend(Avx512::detect().map(|token| ("avx512", Self::Avx512(token))));
            levels.extend(Avx2::detect().map(|token| ("avx2", Self::Avx2(token))));
        }
        #[cfg(target_arch = "aarch64")]
        levels.push(("neon", Self::best()));
        levels
    }
}

/// Makes operations of kernels: `fn name(arguments) = kernel;` is a function that calls the
/// kernel's compilation for the best level, with its token before the other arguments. The
/// module `on` has the same functions for a given level.
macro_rules! operations {
    ($(
        $(#[$doc:meta])*
        $visible:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?
            = $kernel:path;
    )*) => {
        $(
            $(#[$doc])*
            #[inline]
            $visible fn $name($($argument: $type),*) $(-> $result)? {
                on::$name($crate::dispatch::Level::best(), $($argument),*)
            }
        )*

        pub(crate) mod on {
            use super::*;
            use $crate::dispatch::Level;

            $(
                #[allow(clippy::too_many_arguments)]
                pub fn $name(level: Level, $($argument: $type),*) $(-> $result)? {
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
                    fn avx512_vnni(
                        token: $crate::simd::Avx512<true>,
                        $($argument: $type),*
                    ) $(-> $result)? {
                        $kernel(token, $($argument),*)
                    }
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx512f,avx2,fma")]
                    fn avx512(
                        token: $crate::simd::Avx512<false>,
                        $($argument: $type),*
                    ) $(-> $result)? {
                        $kernel(token, $($argument),*)
                    }
                    #[cfg(target_arch = "x86_64")]
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(token: $crate::simd::Avx2, $($argument: $type),*) $(-> $result)? {
                        $kernel(token, $($argument),*)
                    }
                    match level {
                        // SAFETY: the token proves that the CPU has AVX-512 with BW and VNNI,
                        // and AVX2 with FMA.
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512Vnni(token) => unsafe { avx512_vnni(token, $($argument),*) },
                        // SAFETY: the token proves that the CPU has AVX-512, and AVX2 with FMA.
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512(token) => unsafe { avx512(token, $($argument),*) },
                        // SAFETY: the token proves that the CPU has AVX2 with FMA.
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2(token) => unsafe { avx2(token, $($argument),*) },
                        #[cfg(target_arch = "aarch64")]
                        Level::Neon(token) => $kernel(token, $($argument),*),
                        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
                        Level::Simd128(token) => $kernel(token, $($argument),*),
                        Level::Portable(token) => $kernel(token, $($argument),*),
                    }
                }
            )*
        }
    };
}
pub(crate) use operations;
