//! What every exported function goes through: panics stop here, errors become a status and
//! a handle, and handles change hands.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{ErrorHandle, Failure, Status};
use crate::progress::is_cancelled;

/// The result of a fallible function's body.
pub type Outcome = Result<(), Failure>;

/// Runs a fallible function's body. Where it fails, stores the error in `*error`, if the
/// caller wants it.
///
/// # Safety
/// `error` is NULL or points to a place for a pointer.
#[inline]
pub unsafe fn status(
    function: &str,
    error: *mut *mut ErrorHandle,
    body: impl FnOnce() -> Outcome,
) -> Status {
    match stop_panics(function, body) {
        Ok(Ok(())) => Status::Ok,
        // SAFETY: the caller's promise.
        failed => unsafe { fail(function, error, failed) },
    }
}

/// Gives the status of a body that failed or panicked.
///
/// # Safety
/// As [`status`].
#[cold]
unsafe fn fail(
    function: &str,
    error: *mut *mut ErrorHandle,
    failed: Result<Outcome, Box<dyn Any + Send>>,
) -> Status {
    let failure = match failed {
        Ok(Ok(())) => return Status::Ok,
        Ok(Err(failure)) => failure,
        Err(panic) if is_cancelled(&*panic) => {
            ErrorHandle::new(Status::Cancelled, &format!("{function} was stopped by the caller"))
        }
        Err(panic) => {
            let message = format!("{function} panicked, please report it: {}", text_of(&*panic));
            ErrorHandle::new(Status::Panic, &message)
        }
    };
    let status = failure.status();
    if !error.is_null() && error.is_aligned() {
        // SAFETY: the caller passes NULL, which was excluded, or a place for a pointer.
        unsafe { error.write(Box::into_raw(failure)) };
    }
    status
}

/// Runs the body of a function that can't fail. `fallback` is what it gives for a panic.
pub fn value<T>(function: &str, fallback: T, body: impl FnOnce() -> T) -> T {
    stop_panics(function, body).unwrap_or(fallback)
}

/// Takes a handle back from the caller and drops it.
///
/// # Safety
/// `handle` is NULL or came from [`Out::give`](crate::argument::Out::give) and is not used
/// any more.
pub unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: the handle was made by `Box::into_raw` and comes back once.
        drop(unsafe { Box::from_raw(handle) });
    }
}

#[inline]
fn stop_panics<T>(function: &str, body: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    // Handles do not change once made, so a panic can't leave one half-changed, and a
    // caller's buffers are written in full at the end.
    catch_unwind(AssertUnwindSafe(|| {
        inject_panic(function);
        body()
    }))
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Panics where the environment variable PROJECTION_PANIC_IN names `function`, so that a
/// test can show for each entry point of a built library that panics stop there.
#[cfg(feature = "inject-panics")]
fn inject_panic(function: &str) {
    if std::env::var("PROJECTION_PANIC_IN").is_ok_and(|name| name == function) {
        panic!("injected");
    }
}

#[cfg(not(feature = "inject-panics"))]
#[inline(always)]
fn inject_panic(_function: &str) {}
