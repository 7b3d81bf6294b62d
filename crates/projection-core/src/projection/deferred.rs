//! Checks of a model's values that wait until they are first used.
//!
//! A large file that is mapped is ready without being read. Its first use reads all of it
//! anyway, and then is the time to look for values that no model may have.

use std::sync::{Arc, OnceLock};

use crate::error::{Error, ErrorKind, Result};

/// Whether the values of a model are known to be sound.
#[derive(Debug, Clone, Default)]
pub struct Deferred(Option<Arc<Pending>>);

#[derive(Debug)]
struct Pending {
    /// The file, for messages.
    name: String,
    verdict: OnceLock<std::result::Result<(), (ErrorKind, String)>>,
}

impl Deferred {
    /// Values that have been checked.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// Values of the file that messages call `name`, not looked at yet.
    pub fn until_used(name: &str) -> Self {
        Self(Some(Arc::new(Pending { name: name.to_string(), verdict: OnceLock::new() })))
    }

    /// Checks the values, unless that was done before.
    #[inline]
    pub fn settle(&self, check: impl FnOnce() -> Result<()>) -> Result<()> {
        match &self.0 {
            None => Ok(()),
            Some(pending) => pending.settle(check),
        }
    }
}

impl Pending {
    fn settle(&self, check: impl FnOnce() -> Result<()>) -> Result<()> {
        let verdict = self.verdict.get_or_init(|| {
            check().map_err(|error| (error.kind(), format!("{}: {error}", self.name)))
        });
        match verdict {
            Ok(()) => Ok(()),
            Err((kind, message)) => Err(Error::new(*kind, message.clone())),
        }
    }
}

/// Refuses rows with NaN or infinity. `what` names the tensor.
pub fn check_rows_finite(what: &str, rows: &crate::kernel::Rows) -> Result<()> {
    // The sum of the squares is as finite as the values are: in double precision it cannot
    // overflow.
    for row in 0..rows.count() {
        if !crate::kernel::norm(rows.row(row)).is_finite() {
            let at = rows.row(row).iter().position(|value| !value.is_finite()).unwrap_or(0);
            return Err(Error::new(
                ErrorKind::NotFinite,
                format!(
                    "tensor '{what}': the value {} in row {row}, column {at}, expected finite \
                     numbers",
                    rows.row(row)[at]
                ),
            ));
        }
    }
    Ok(())
}
