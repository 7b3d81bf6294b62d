//! Sharing work among threads.

use std::ops::Range;

/// Rows of a result that one thread computes at a time, unless a caller knows better.
pub const BLOCK_ROWS: usize = 128;

/// The number of threads that long work may use: as many as the machine offers.
pub fn threads() -> usize {
    if cfg!(target_arch = "wasm32") {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Calls `work` with each of `jobs`, on up to `threads` threads, of which the caller's is one;
/// all of them end before this returns. A panic of `work` goes on in the caller.
pub fn parallel_for_each<J: Send>(
    threads: usize,
    jobs: impl ExactSizeIterator<Item = J> + Send,
    work: impl Fn(J) + Sync,
) {
    let threads = threads.min(jobs.len());
    if threads <= 1 || cfg!(target_arch = "wasm32") {
        return jobs.for_each(work);
    }
    let jobs = std::sync::Mutex::new(jobs);
    let run = || {
        loop {
            // Its own statement: the lock must not be held while working. A poisoned lock means
            // that the iterator itself panicked, and that panic is reported below.
            let job = jobs.lock().ok().and_then(|mut jobs| jobs.next());
            match job {
                Some(job) => work(job),
                None => break,
            }
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        run();
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Splits `out`, whose rows have `width` values, into chunks of `rows` rows, and calls `work`
/// with the row numbers of each chunk and the chunk itself, on up to `threads` threads.
///
/// Chunks do not depend on the number of threads, so that neither do results.
pub fn parallel_chunks<T: Send>(
    threads: usize,
    out: &mut [T],
    width: usize,
    rows: usize,
    work: impl Fn(Range<usize>, &mut [T]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let count = out.len() / width;
    let chunks = out.chunks_mut(rows * width).enumerate();
    parallel_for_each(threads, chunks, |(chunk, out)| {
        work(chunk * rows..(chunk * rows + rows).min(count), out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_done_once_by_any_number_of_threads() {
        for threads in [0, 1, 2, 7] {
            let mut out = vec![0usize; 3 * 1001];
            parallel_chunks(threads, &mut out, 3, 10, |rows, out| {
                for (row, out) in rows.zip(out.chunks_mut(3)) {
                    out.iter_mut().for_each(|value| *value += row + 1);
                }
            });
            assert!(out.chunks(3).enumerate().all(|(row, out)| out == [row + 1; 3]));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let panicking = || parallel_for_each(3, 0..9, |job| assert_ne!(job, 5, "job five"));
        let panic = std::panic::catch_unwind(panicking).unwrap_err();
        assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("job five")));
    }
}
