//! Telling a caller how far long work is, and being told to stop.

use std::any::Any;
use std::ffi::{CString, c_char, c_void};
use std::panic::resume_unwind;

use projection_train::train::Progress;

/// Is called now and then during long work, on the thread that called: with the caller's
/// `context`, the `stage` of the work, such as "tuning", how many of how many steps are done,
/// and the loss of the last step, NaN where there is none. The text lives until the function
/// returns. It returns 0 to stop the work, which then ends with PROJECTION_STATUS_CANCELLED,
/// and any other number to go on. It may call the library, but not for the same store.
pub type ProgressC = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        stage: *const c_char,
        done: u64,
        total: u64,
        loss: f64,
    ) -> i32,
>;

/// What unwinds through the work when the caller stops it. Everything that the work has not
/// made durable is dropped on the way, as it is when the process is killed.
struct Cancelled;

/// Whether unwinding came from a caller who stopped the work.
pub fn is_cancelled(panic: &(dyn Any + Send)) -> bool {
    panic.is::<Cancelled>()
}

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

    /// Tells the caller. Where they want to stop, unwinds to [`guard`](crate::guard).
    pub fn tell(&self, stage: &str, done: usize, total: usize, loss: Option<f64>) {
        let Some(function) = self.function else { return };
        // Stages are texts of ours and hold no NUL.
        let stage = CString::new(stage).unwrap_or_default();
        let loss = loss.unwrap_or(f64::NAN);
        // SAFETY: promised when `self` was made.
        let go_on =
            unsafe { function(self.context, stage.as_ptr(), done as u64, total as u64, loss) };
        if go_on == 0 {
            // No panic: the hook that prints panics is not called.
            resume_unwind(Box::new(Cancelled));
        }
    }

    /// The same, for what trains and evaluates.
    pub fn progress(self) -> impl FnMut(Progress) {
        move |progress: Progress| {
            self.tell(progress.stage, progress.step, progress.steps, progress.loss);
        }
    }
}
