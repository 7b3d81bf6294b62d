//! Sharing work among threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::error::Result;

/// Rows of a result that one thread computes at a time, unless a caller knows better.
pub const BLOCK_ROWS: usize = 128;

/// The number of threads that long work may use: as many as the machine offers.
pub fn threads() -> usize {
    if cfg!(target_arch = "wasm32") {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Is asked on the caller's thread, before and during long work, whether to go on; an error ends it.
pub type Poll<'a> = dyn FnMut() -> Result<()> + 'a;

/// How often a caller that waits for other threads is asked whether to go on.
const POLL: Duration = Duration::from_millis(20);

/// Calls `work` with each of `jobs`, on up to `threads` threads, of which the caller's is one;
/// all of them end before this returns. A panic of `work` goes on in the caller.
pub fn parallel_for_each<J: Send>(
    threads: usize,
    jobs: impl ExactSizeIterator<Item = J> + Send,
    work: impl Fn(J) + Sync,
) {
    let never = parallel_until(threads, jobs, &mut || Ok(()), |job, _| work(job));
    debug_assert!(never.is_ok());
}

/// [`parallel_for_each`] that can be stopped. `poll` is called before each job, on the caller's
/// thread; after an error no job begins, and the error is returned. `work` is passed a function
/// that says whether to stop: a job that takes longer calls it several times a second.
///
/// # Errors
/// Those of `poll`.
pub fn parallel_until<J: Send>(
    threads: usize,
    jobs: impl ExactSizeIterator<Item = J> + Send,
    poll: &mut Poll<'_>,
    work: impl Fn(J, &mut dyn FnMut() -> bool) + Sync,
) -> Result<()> {
    let mut result = Ok(());
    let stopped = AtomicBool::new(false);
    let mut ask = || {
        if result.is_ok() {
            result = poll();
            stopped.store(result.is_err(), Ordering::Relaxed);
        }
        result.is_err()
    };
    let threads = threads.min(jobs.len());
    if threads <= 1 || cfg!(target_arch = "wasm32") {
        for job in jobs {
            if ask() {
                break;
            }
            work(job, &mut ask);
        }
        return result;
    }
    let jobs = std::sync::Mutex::new(jobs);
    let run = |stop: &mut dyn FnMut() -> bool| {
        while !stop() {
            // Its own statement: the lock must not be held while working. A poisoned lock means
            // that the iterator itself panicked, and that panic is reported below.
            let job = jobs.lock().ok().and_then(|mut jobs| jobs.next());
            match job {
                Some(job) => work(job, stop),
                None => break,
            }
        }
    };
    let (run, stopped) = (&run, &stopped);
    std::thread::scope(|scope| {
        let (running, ended) = mpsc::channel::<()>();
        let others: Vec<_> = (1..threads)
            .map(|_| running.clone())
            .map(|running| {
                scope.spawn(move || {
                    let _running = running;
                    run(&mut || stopped.load(Ordering::Relaxed));
                })
            })
            .collect();
        drop(running);
        run(&mut ask);
        while ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
            ask();
        }
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    result
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
    let never = parallel_chunks_until(threads, out, width, rows, &mut || Ok(()), |rows, out, _| {
        work(rows, out);
    });
    debug_assert!(never.is_ok());
}

/// [`parallel_chunks`] that can be stopped, as [`parallel_until`].
///
/// # Errors
/// Those of `poll`. `out` is filled in part then.
pub fn parallel_chunks_until<T: Send>(
    threads: usize,
    out: &mut [T],
    width: usize,
    rows: usize,
    poll: &mut Poll<'_>,
    work: impl Fn(Range<usize>, &mut [T], &mut dyn FnMut() -> bool) + Sync,
) -> Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let count = out.len() / width;
    let chunks = out.chunks_mut(rows * width).enumerate();
    parallel_until(threads, chunks, poll, |(chunk, out), stop| {
        work(chunk * rows..(chunk * rows + rows).min(count), out, stop);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

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
    fn work_stops_when_its_caller_is_told_to() {
        for threads in [1, 3] {
            let (mut polls, done) = (0, std::sync::atomic::AtomicUsize::new(0));
            let mut poll = || {
                polls += 1;
                match polls {
                    1..20 => Ok(()),
                    _ => Err(Error::new(ErrorKind::Cancelled, "enough")),
                }
            };
            let stopped = parallel_until(threads, 0..1000, &mut poll, |_, stop| {
                // A job without an end, but for being stopped.
                while !stop() {
                    std::thread::yield_now();
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
            assert!((1..=threads).contains(&done.into_inner()));
        }
        // While others work, the caller, who has no job left, is still asked.
        let caller = std::thread::current().id();
        let mut polls = 0;
        let mut poll = || {
            polls += 1;
            if polls < 5 { Ok(()) } else { Err(Error::new(ErrorKind::Cancelled, "enough")) }
        };
        let stopped = parallel_until(2, 0..2, &mut poll, |_, stop| {
            while std::thread::current().id() != caller && !stop() {
                std::thread::yield_now();
            }
        });
        assert!(stopped.is_err() || polls < 5);
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let panicking = || parallel_for_each(3, 0..9, |job| assert_ne!(job, 5, "job five"));
        let panic = std::panic::catch_unwind(panicking).unwrap_err();
        assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("job five")));
    }
}
