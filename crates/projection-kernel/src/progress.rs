//! Progress of long work, and how a caller cancels it.

use std::ops::ControlFlow;

use crate::error::{Error, ErrorKind, Result};

/// How far long work is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done, such as `tuning`, where a step is one training of an adapter for
    /// one fold, `adapter`, where a step is one of Adam, or `distilling`, where it is an epoch.
    pub stage: &'static str,
    /// Steps of the stage that are done.
    pub step: usize,
    /// Steps of the stage in all.
    pub steps: usize,
    /// The loss of the step, if there is one.
    pub loss: Option<f64>,
    /// The loss on held-out questions, if there is one.
    pub held_out_loss: Option<f64>,
}

/// A progress callback. It is called on the calling thread, several times a second, at times with
/// the progress that it had before; [`ControlFlow::Break`] cancels the work, which then returns
/// [`ErrorKind::Cancelled`].
pub type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// A callback that ignores progress and never cancels.
pub fn ignore_progress(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Progress {
    /// Progress without a loss.
    pub fn new(stage: &'static str, step: usize, steps: usize) -> Self {
        Self { stage, step, steps, loss: None, held_out_loss: None }
    }

    /// Calls `callback`.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] if the callback cancels the work.
    pub fn send(self, callback: &mut OnProgress<'_>) -> Result<()> {
        match callback(self) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::new(
                ErrorKind::Cancelled,
                format!(
                    "cancelled by the caller: {}, step {} of {}",
                    self.stage, self.step, self.steps
                ),
            )),
        }
    }
}
