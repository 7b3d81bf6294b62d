//! Memory for a query that is made ready for compact rows, on the stack where it is of a usual
//! length.

use std::mem::MaybeUninit;

use super::SMALL;
use super::table::kernels;
use crate::scratch::Scratch;

/// Calls `work` with a query whose values of even and odd number are apart.
pub(super) fn with_apart<R>(query: &[f32], work: impl FnOnce(&[f32]) -> R) -> R {
    const USUAL: usize = 4096;
    if query.len() > USUAL || SMALL {
        let mut room = Scratch::new();
        room.reserve(query.len());
        (kernels().apart)(query, &mut room.spare_capacity_mut()[..query.len()]);
        // SAFETY: as many values have been written.
        unsafe { room.set_len(query.len()) };
        return work(&room);
    }
    // Clearing it would take longer than filling it.
    let mut room = [const { MaybeUninit::uninit() }; USUAL];
    (kernels().apart)(query, &mut room[..query.len()]);
    // SAFETY: as many values have been written.
    work(unsafe { std::slice::from_raw_parts(room.as_ptr().cast(), query.len()) })
}

/// Calls `work` with so many zeros: small arrays are cleared sooner than large ones.
pub(super) fn with_scratch<T: Copy + Default + 'static, R>(
    count: usize,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    match count {
        _ if SMALL => work(&mut Scratch::filled(count, T::default())),
        ..=384 => work(&mut [T::default(); 384][..count]),
        385..=1024 => work(&mut [T::default(); 1024][..count]),
        1025..=4096 => work(&mut [T::default(); 4096][..count]),
        _ => work(&mut Scratch::filled(count, T::default())),
    }
}
