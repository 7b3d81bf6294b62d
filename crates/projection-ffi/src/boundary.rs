//! The boundary that every exported function runs behind: panics stop here, and errors become
//! a status and a handle.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use projection_core::{Error, ErrorKind, Result};

use crate::error::{ErrorHandle, Status};

/// The body of a function that returns a status. Inside the body, `?` returns a
/// [`projection_core::Error`].
macro_rules! ffi_try {
    ($error:ident, $body:block) => {{
        fn here() {}
        let body = || -> projection_core::Result<()> {
            $body
            Ok(())
        };
        // SAFETY: the header requires `error` to be NULL or to point to a pointer that may be
        // written.
        unsafe { $crate::boundary::status(here, $error, body) }
    }};
}

/// The body of a function that cannot fail, and what the function returns if the body panics.
macro_rules! panic_boundary {
    ($fallback:expr, $body:expr) => {{
        fn here() {}
        $crate::boundary::catch(here, || $body).unwrap_or($fallback)
    }};
}

/// Runs the body of a fallible function. Stores an error in `*error` if the caller wants it.
///
/// # Safety
/// `error` is NULL or points to a pointer that may be written.
#[inline]
pub unsafe fn status<F: Copy>(
    here: F,
    error: *mut *mut ErrorHandle,
    body: impl FnOnce() -> Result<()>,
) -> Status {
    match catch(here, body) {
        Ok(Ok(())) => Status::OK,
        failed => {
            let failure = failed.unwrap_or_else(|panic| Err(panicked::<F>(&*panic)));
            // SAFETY: the caller promises that `error` is NULL or may be written.
            unsafe { fail(failure, error) }
        }
    }
}

/// Hands an error over to the caller and returns its status.
///
/// # Safety
/// `error` is NULL or points to a pointer that may be written.
#[cold]
unsafe fn fail(failure: Result<()>, error: *mut *mut ErrorHandle) -> Status {
    let Err(failure) = failure else { return Status::OK };
    let status = Status::from(failure.kind());
    if !error.is_null() && error.is_aligned() {
        // SAFETY: the caller promises that `error` may be written; it is neither NULL nor
        // misaligned.
        unsafe { error.write(Box::into_raw(Box::new(ErrorHandle::from(failure)))) };
    }
    status
}

/// Runs `body` and returns what a panic carries as an error. `here` is a function inside the
/// exported one, by which it is named.
#[inline]
pub fn catch<F: Copy, T>(here: F, body: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    // Handles are not changed except behind a lock, and the caller's buffers are written at the
    // end, so that a panic leaves nothing half-changed.
    catch_unwind(AssertUnwindSafe(|| {
        inject_panic(here);
        body()
    }))
}

fn panicked<F>(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or(panic.downcast_ref::<String>().map(String::as_str));
    let message =
        format!("{} panicked, please report it: {}", function::<F>(), text.unwrap_or("no message"));
    Error::new(ErrorKind::Panic, message)
}

/// The name of the function that contains the function `F`.
fn function<F>() -> &'static str {
    std::any::type_name::<F>().rsplit("::").nth(1).unwrap_or("projection")
}

/// Panics if the environment variable PROJECTION_PANIC_IN names the function, so that a test can
/// show for each entry point of a built library that panics stop there.
#[cfg(feature = "inject-panics")]
fn inject_panic<F: Copy>(_here: F) {
    if std::env::var("PROJECTION_PANIC_IN").is_ok_and(|name| name == function::<F>()) {
        panic!("injected");
    }
}

#[cfg(not(feature = "inject-panics"))]
#[inline(always)]
fn inject_panic<F: Copy>(_here: F) {}
