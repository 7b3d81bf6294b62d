//! Models: loading, saving and what they are.

use std::ffi::c_char;

use projection_core::Result;
use projection_core::projection::{Model, ModelKind, Precision, Projection};

use crate::argument::{Buffer, invalid};
use crate::error::{ErrorHandle, Status};
use crate::json::{TextHandle, give_json};

/// A trained model. Free it with projection_model_free. Any number of threads may use it at
/// once.
pub struct ModelHandle {
    /// Beside the model, so that a call checks its arrays without asking the model.
    pub(crate) shape: Shape,
    pub(crate) model: Model,
}

/// The lengths of a query, of a projected query, and of routing weights.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub input_dim: usize,
    pub output_dim: usize,
    pub heads: usize,
}

impl ModelHandle {
    pub(crate) fn new(model: Model) -> Self {
        let (input_dim, output_dim) = (model.input_dim(), model.output_dim());
        let shape = Shape { input_dim, output_dim, heads: model.head_ids().len() };
        Self { shape, model }
    }
}

/// The kind of a model.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// NULL, or a kind that has no number yet.
    Unknown = 0,
    /// One head per cluster, mixed by softmax.
    MultiHead = 1,
    /// The query plus what training learned to add to it.
    Residual = 2,
    /// One matrix. It has no heads and no temperature.
    Linear = 3,
    /// A distilled network, from a file of its own. It has no heads and no temperature.
    Transformer = 4,
}

/// How a model stores its vectors.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrecisionKind {
    /// NULL, or a precision that has no number yet.
    Unknown = 0,
    /// Single precision.
    F32 = 1,
    /// bfloat16, in half the memory. The direction of projected queries changes by about 1e-5.
    Bf16 = 2,
    /// int8 with a scale for each vector, in a quarter of the memory.
    Int8 = 3,
}

const KINDS: [(ModelKind, Kind); 4] = [
    (ModelKind::MultiHead, Kind::MultiHead),
    (ModelKind::Residual, Kind::Residual),
    (ModelKind::Linear, Kind::Linear),
    (ModelKind::Transformer, Kind::Transformer),
];

const PRECISIONS: [(Precision, PrecisionKind); 3] = [
    (Precision::F32, PrecisionKind::F32),
    (Precision::Bf16, PrecisionKind::Bf16),
    (Precision::Int8, PrecisionKind::Int8),
];

/// A kind by its number. The parameter of a C function is a number, because a Rust enumeration
/// must not hold any other value.
pub(crate) fn kind_of(number: i32) -> Result<ModelKind> {
    let known = KINDS[..3].iter().find(|(_, kind)| *kind as i32 == number);
    let wrong = || invalid("kind", format_args!("is {number}, expected 0, 1, 2 or 3"));
    known.map(|(kind, _)| *kind).ok_or_else(wrong)
}

/// A precision by its number.
pub(crate) fn precision_of(number: i32) -> Result<Precision> {
    let known = PRECISIONS.iter().find(|(_, precision)| *precision as i32 == number);
    let wrong = || invalid("precision", format_args!("is {number}, expected 1, 2 or 3"));
    known.map(|(precision, _)| *precision).ok_or_else(wrong)
}

/// Loads projection `id`, of any kind, from the folder of its files:
/// embeddings/{model_name}, or embeddings. `temperature` is that of the routing, above 0; 0.1
/// is the usual value. Linear models have none and ignore it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_load(
    folder: *const c_char,
    id: i64,
    temperature: f64,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (folder, out) = (path!(folder), out!(model));
        out.give(ModelHandle::new(Model::load(folder, id, temperature)?));
    })
}

/// Loads projection `id` as projection_model_load does, at the temperature stored in its files.
/// The files of a multi-head model may have none: the call then returns
/// PROJECTION_STATUS_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_load_as_trained(
    folder: *const c_char,
    id: i64,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (folder, out) = (path!(folder), out!(model));
        out.give(ModelHandle::new(Model::load(folder, id, None)?));
    })
}

/// Opens the model in the .safetensors file `path`, of any kind, at the temperature stored in the
/// file. The file is mapped. While the model lives, the file must not be changed in place: that
/// could change results or, if the file is truncated, end the process. It is safe to remove the
/// file, or to replace it by renaming another one, as projection_model_save_file does. The values
/// of a file of more than 1 MiB are checked when the model is first used. If another program may
/// change the file in place, read it and use projection_model_from_bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_load_file(
    path: *const c_char,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (path, out) = (path!(path), out!(model));
        out.give(ModelHandle::new(projection_interop::load_file(path)?));
    })
}

/// Reads a model from the `len` bytes of such a file. The bytes are copied, and all values are
/// checked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_from_bytes(
    bytes: *const u8,
    len: usize,
    model: *mut *mut ModelHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let (bytes, out) = (slice!(bytes, len), out!(model));
        out.give(ModelHandle::new(projection_interop::from_bytes(bytes, "model")?));
    })
}

/// Writes a model to the file `path`, which projection_model_load_file opens in every language.
/// An existing file is replaced only by the complete new one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_save_file(
    model: Option<&ModelHandle>,
    path: *const c_char,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { handle!(model).model.save_file(path!(path))? })
}

/// Returns the kind and the parameters of a model as JSON, as a model file contains them: for a
/// transformer embed_dim, num_heads, num_layers, ff_dim and dropout.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_parameters(
    model: Option<&ModelHandle>,
    text: *mut *mut TextHandle,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, { give_json(out!(text), &handle!(model).model.parameters())? })
}

/// Dimension of queries; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_input_dim(model: Option<&ModelHandle>) -> usize {
    panic_boundary!(0, model.map_or(0, |model| model.shape.input_dim))
}

/// Dimension of projected queries; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_output_dim(model: Option<&ModelHandle>) -> usize {
    panic_boundary!(0, model.map_or(0, |model| model.shape.output_dim))
}

/// Number of heads, which is the number of routing weights; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_num_heads(model: Option<&ModelHandle>) -> usize {
    panic_boundary!(0, model.map_or(0, |model| model.shape.heads))
}

/// Temperature of the routing; NaN for a model without one, and for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_temperature(model: Option<&ModelHandle>) -> f64 {
    panic_boundary!(f64::NAN, model.map_or(f64::NAN, |model| model.model.temperature()))
}

/// Whether a model moves the answers that it was trained on towards their questions. Searchers of a
/// store then compare projected queries with the moved answers; another index has to hold those, see
/// projection_searcher_vectors. 1 or 0; 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_moves_answers(model: Option<&ModelHandle>) -> i32 {
    panic_boundary!(0, {
        let residual = model.and_then(|model| model.model.as_residual());
        residual.is_some_and(|residual| residual.moves_answers()).into()
    })
}

/// The kind of a model; PROJECTION_KIND_UNKNOWN for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_kind(model: Option<&ModelHandle>) -> Kind {
    panic_boundary!(Kind::Unknown, {
        let kind = model.map(|model| model.model.kind());
        KINDS
            .iter()
            .find(|(known, _)| Some(*known) == kind)
            .map_or(Kind::Unknown, |(_, kind)| *kind)
    })
}

/// How a model stores its vectors; PROJECTION_PRECISION_UNKNOWN for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_precision(model: Option<&ModelHandle>) -> PrecisionKind {
    panic_boundary!(PrecisionKind::Unknown, {
        let precision = model.map(|model| model.model.precision());
        let known = PRECISIONS.iter().find(|(known, _)| Some(*known) == precision);
        known.map_or(PrecisionKind::Unknown, |(_, precision)| *precision)
    })
}

/// Cluster ids of the heads in ascending order, which is the order of routing weights.
/// `ids_len` is the number of heads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn projection_model_head_ids(
    model: Option<&ModelHandle>,
    ids: *mut i64,
    ids_len: usize,
    error: *mut *mut ErrorHandle,
) -> Status {
    ffi_try!(error, {
        let head_ids = handle!(model).model.head_ids();
        let ids = Buffer::new("ids", ids, ids_len)?;
        ids.expect_len(head_ids.len())?;
        // SAFETY: the header requires an array of this length.
        unsafe { ids.write() }?.copy_from_slice(head_ids);
    })
}

/// Frees a model. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn projection_model_free(model: Option<Box<ModelHandle>>) {
    panic_boundary!((), drop(model))
}
