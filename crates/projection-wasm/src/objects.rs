//! Models, indexes and embedders by their handles.

use std::cell::RefCell;

use ndarray::ArrayView2;
use projection_core::projection::{Model, Projection};
use projection_core::search::Index;
use projection_core::{Error, ErrorKind, Result};
use serde_json::json;

use crate::exchange::{Input, Output, run};

/// What a handle stands for.
pub(crate) enum Object {
    Model(Model),
    Index(Index),
    #[cfg(feature = "embed")]
    Embedder(Box<projection_embed::Embedder>),
}

thread_local! {
    /// Handle 1 is that of the first. Freed objects leave a gap, which the next one fills.
    static OBJECTS: RefCell<Vec<Option<Object>>> = RefCell::default();
}

/// Keeps the object that `make` returns for the input, and returns its handle; 0 after an
/// error. The input is freed, because files are large.
pub(crate) fn make(make: impl FnOnce(Input) -> Result<Object>) -> usize {
    let mut handle = 0;
    run(|input, _| {
        let object = make(std::mem::take(input))?;
        OBJECTS.with_borrow_mut(|objects| {
            let gap = objects.iter().position(Option::is_none).unwrap_or(objects.len());
            objects.resize_with(objects.len().max(gap + 1), || None);
            objects[gap] = Some(object);
            handle = gap + 1;
        });
        Ok(())
    });
    handle
}

/// Runs a call of the object with this handle, see [`run`].
pub(crate) fn run_on(
    handle: usize,
    work: impl FnOnce(&mut Object, &mut Input, &mut Output) -> Result<()>,
) -> bool {
    run(|input, output| {
        OBJECTS.with_borrow_mut(|objects| {
            let object = handle.checked_sub(1).and_then(|at| objects.get_mut(at)?.as_mut());
            work(object.ok_or_else(wrong_handle)?, input, output)
        })
    })
}

/// The error for a handle of no object, or of one of another type.
pub(crate) fn wrong_handle() -> Error {
    Error::new(ErrorKind::InvalidArgument, "no object of this type has this handle")
}

/// The error for slices that do not have the lengths which their callers just computed.
pub(crate) fn shape(error: ndarray::ShapeError) -> Error {
    Error::new(ErrorKind::Internal, error.to_string())
}

/// Rows of queries of `dim` values each.
pub(crate) fn query_rows(values: &[f32], dim: usize) -> Result<ArrayView2<'_, f32>> {
    let length = values.len();
    if !length.is_multiple_of(dim) {
        let what = format!("queries of {length} values, expected a multiple of {dim}");
        return Err(Error::new(ErrorKind::DimensionMismatch, what));
    }
    ArrayView2::from_shape((length / dim, dim), values).map_err(shape)
}

/// Frees the object with this handle. (A bare `free` would replace that of the C library in the
/// crate's tests.)
#[unsafe(no_mangle)]
pub extern "C" fn free_object(handle: usize) {
    OBJECTS.with_borrow_mut(|objects| {
        if let Some(object) = handle.checked_sub(1).and_then(|at| objects.get_mut(at)) {
            *object = None;
        }
    });
}

/// Describes the object with this handle as JSON. Ids are texts, because JavaScript's numbers
/// do not hold all of them.
#[unsafe(no_mangle)]
pub extern "C" fn describe(handle: usize) -> bool {
    run_on(handle, |object, _, output| {
        let description = match object {
            Object::Model(model) => json!({
                "kind": model.kind().name(),
                "inputDim": model.input_dim(),
                "outputDim": model.output_dim(),
                // NaN, for kinds without one, becomes null.
                "temperature": model.temperature(),
                "headIds": model.head_ids().iter().map(i64::to_string).collect::<Vec<_>>(),
            }),
            Object::Index(index) => json!({"length": index.len(), "dim": index.dim()}),
            #[cfg(feature = "embed")]
            Object::Embedder(embedder) => {
                json!({
                    "dim": embedder.dim(),
                    "maxTokens": embedder.max_tokens(),
                    "fingerprint": embedder.fingerprint(),
                })
            }
        };
        output.text = description.to_string();
        Ok(())
    })
}
