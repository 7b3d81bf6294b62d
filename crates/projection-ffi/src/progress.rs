//! Progress of long work, and cancellation.

use std::ffi::{CString, c_char, c_void};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use projection_train::Progress;

/// Progress callback, invoked on the calling thread with the caller's `context`, the `stage` of
/// the work, such as "tuning", the number of steps that are done and their total, and the loss of
/// the last step, which is NaN if the stage has none. `stage` is valid until the callback returns.
/// Return non-zero to cancel: the call then returns PROJECTION_STATUS_CANCELLED. The callback is
/// invoked several times a second, at times with the numbers that it had before. It may call the
/// library, but not for the same store, and not to change the same searcher.
pub type ProgressC = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        stage: *const c_char,
        done: u64,
        total: u64,
        loss: f64,
    ) -> i32,
>;

/// A caller's function with its context.
#[derive(Clone, Copy)]
pub struct Reporter {
    function: ProgressC,
    context: *mut c_void,
}

impl Reporter {
    /// # Safety
    /// `function` is NULL or may be called with `context` until the work ends.
    pub unsafe fn new(function: ProgressC, context: *mut c_void) -> Self {
        Self { function, context }
    }

    /// Tells the caller, who may want to stop.
    pub fn report(
        self,
        stage: &str,
        done: usize,
        total: usize,
        loss: Option<f64>,
    ) -> ControlFlow<()> {
        let Some(function) = self.function else { return ControlFlow::Continue(()) };
        // Stages are texts of the engine and hold no NUL.
        let stage = CString::new(stage).unwrap_or_default();
        let loss = loss.unwrap_or(f64::NAN);
        // SAFETY: whoever called `new` promised that the function may be called.
        let stop =
            unsafe { function(self.context, stage.as_ptr(), done as u64, total as u64, loss) };
        if stop == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// A progress callback with its context.
macro_rules! reporter {
    ($progress:ident, $context:ident) => {
        // SAFETY: the header requires NULL or a function that may be called with `context`
        // until the call returns.
        unsafe { $crate::progress::Reporter::new($progress, $context) }
    };
}

impl Reporter {
    /// The callback as the engine takes it. What was reported before is reported again only now and
    /// then: other languages may have to wait for a lock before they run a callback.
    pub fn progress(self) -> impl FnMut(Progress) -> ControlFlow<()> {
        const AGAIN: Duration = Duration::from_millis(50);
        let mut last = None;
        move |Progress { stage, step, steps, loss, .. }| {
            if self.function.is_none()
                || last.is_some_and(|(known, at): (_, Instant)| {
                    known == (stage, step) && at.elapsed() < AGAIN
                })
            {
                return ControlFlow::Continue(());
            }
            last = Some(((stage, step), Instant::now()));
            self.report(stage, step, steps, loss)
        }
    }
}
