//! Models of any kind in one `.safetensors` file each.
//!
//! A file holds a model's vectors as the model keeps them in memory, so that it gives bit for
//! bit the numbers of the model it was made of, and is mapped instead of read. Kind and
//! parameters are texts beside the tensors:
//!
//! ```text
//! format          "projection"
//! format_version  "1"; a newer one is refused
//! kind            multi_head, residual, linear or transformer
//! parameters      JSON, the keys of mh_{id}_model.json; of a transformer, its sizes
//! input_dim, output_dim
//! name, metrics   where they are known; for people
//! ```
//!
//! Tensors, of single precision unless said otherwise, for N heads, dimension d, output
//! dimension o and n training questions:
//!
//! | kind | tensors |
//! |---|---|
//! | `multi_head` | `head_ids` I64 (N); `centroids` (N × d), of length 1, and, where not all zero, `centroid_tails` I8 (N × ⌈d/2⌉), what single precision cuts off them in fifteenths of a unit in the last place, that of value i < ⌈d/2⌉ of a row in the low four bits of byte i, that of value ⌈d/2⌉ + i in the high ones; `answers` (N × o); or, in less memory, `centroids` and `answers` in BF16, or in I8 with `centroid_scales` and `answer_scales` (N), which bytes are multiplied by; where heads have matrices, `matrices` (m × o × d) and `matrix_heads` I64 (m), the numbers of these heads |
//! | `residual` | `head_ids` and `question_counts` I64 (N), `answers` (N × d) with `answer_scales` F64 (N), `questions` (n × d) with `question_scales` and `question_alignments` F64 (n), where there are questions; `adapter` (d × d); `lift` (d) |
//! | `linear` | `matrix` (o × d) |
//! | `transformer` | torch's tensors under torch's names, such as `encoder.layers.0.norm1.weight` |
//!
//! Models of either of the first two kinds that are in lists (see
//! [`Model::with_approximate_index`](crate::projection::Model::with_approximate_index)), l of them, hold for their
//! n training questions or heads also: `list_codes` I8 (n × d) with `list_code_scales` (n), the
//! vectors at length 1, one list after another; `list_rows` I64 (n), their numbers;
//! `list_offsets` I64 (l + 1), where each list begins; `list_centres` I8 (l × d) with
//! `list_centre_scales` (l), and `list_spreads` (l); `list_facts` F64 (6), the greatest
//! distance of a vector from its code, the recall that was measured, the share that is read,
//! and how much worse than the k-th best vector a list may be to be read, for k = 1, 10, 32.
//!
//! Scales bring a vector to length 1; an alignment is the cosine of a question and its
//! answer.

mod description;
mod multi_head;
mod residual;
mod transformer;

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::parameters::ModelParameters;
use crate::projection::{LinearProjection, Model, Projection};
use crate::tensors::{self, MappedFile, NewTensor, TensorFile};
use description::Metadata;

pub(crate) use description::check_format;
pub use description::{Description, ModelFileInfo, inspect};
pub use transformer::from_weights;

/// The one tensor of a linear projection.
const MATRIX: &str = "matrix";

/// What [`Model::from_bytes`] calls the bytes in messages.
const BYTES: &str = "model";

/// Values of files up to this size are checked at once, of larger ones when they are first
/// used, see [`Model::load_file`].
const CHECKED_AT_ONCE: usize = 1 << 20;

impl Model {
    /// Opens the model in the file at `path`, of whatever kind, at the temperature that the
    /// file gives. A transformer that `torch.save` wrote opens as well; which one it is shows
    /// in the file's content, and nothing in it is run.
    ///
    /// The file is mapped, so that many processes share one copy in memory and a large model
    /// is ready at once. Its header is checked now; the values of files of more than 1 MiB
    /// are checked for NaN, infinity and what else no model may have when the model is first
    /// used, or by [`check_values`](Self::check_values).
    ///
    /// As long as the model lives, the file must not be changed in place: overwriting it may
    /// change results, and cutting it short ends the process with SIGBUS. Replacing it by
    /// renaming, as [`save_file`](Self::save_file) does, or removing it is safe.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where it can't be read;
    /// [`ErrorKind::InvalidModel`], [`ErrorKind::DimensionMismatch`] or
    /// [`ErrorKind::NotFinite`], naming the file and the tensor, where it is damaged, does not
    /// hold a model, or one of a newer format.
    pub fn load_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = MappedFile::open(path)?;
        from_tensors(&TensorFile::of_mapped(file)?)
    }

    /// Reads a model from the bytes of such a file. They are copied, and all values checked.
    ///
    /// # Errors
    /// As [`load_file`](Self::load_file).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        from_bytes(bytes, BYTES)
    }

    /// Writes the model to the file at `path`, which [`load_file`](Self::load_file) opens. A
    /// file that was there is replaced only by the complete new one.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] or [`ErrorKind::NotFound`], naming the file, where it can't be written
    /// or is a folder; [`ErrorKind::NotFinite`] for a model whose values are not sound.
    pub fn save_file(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_file_with(path, &Description::default())
    }

    /// [`save_file`](Self::save_file) with what is known of the model beside its numbers.
    ///
    /// # Errors
    /// As [`save_file`](Self::save_file).
    pub fn save_file_with(&self, path: impl AsRef<Path>, about: &Description) -> Result<()> {
        self.check_values()?;
        crate::atomic::write(path.as_ref(), |writer| write_model(self, about, writer))
    }

    /// The bytes of the file that [`save_file`](Self::save_file) writes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] for a model whose values are not sound.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check_values()?;
        let mut bytes = Vec::new();
        write_model(self, &Description::default(), &mut bytes)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        Ok(bytes)
    }

    /// Kind and parameters as JSON, as a model file has them beside its tensors.
    pub fn parameters(&self) -> Value {
        self.model_parameters().to_json(&Value::Null)
    }

    fn model_parameters(&self) -> ModelParameters {
        match self {
            Self::MultiHead(heads) => multi_head::parameters(heads),
            Self::Residual(terms) => residual::parameters(&terms.stored()),
            Self::Linear(_) => ModelParameters::Linear {},
            Self::Transformer(network) => ModelParameters::Transformer(network.shape().clone()),
        }
    }

    /// Reads and checks all values of a model from a mapped file now. Without it, its first
    /// use does. Of other models, all values have been checked.
    ///
    /// # Errors
    /// [`ErrorKind::NotFinite`] or [`ErrorKind::InvalidModel`], naming the file and the
    /// tensor.
    pub fn check_values(&self) -> Result<()> {
        match self {
            Self::MultiHead(model) => model.check_values(),
            Self::Residual(model) => model.check_values(),
            Self::Linear(_) | Self::Transformer(_) => Ok(()),
        }
    }
}

/// Reads the bytes of a file, which messages call `name`.
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Model> {
    from_tensors(&TensorFile::from_bytes(bytes, name)?)
}

/// Puts the file's name before an error that does not have it yet.
pub fn in_file(error: Error, name: &str) -> Error {
    if error.to_string().starts_with(name) { error } else { error.context(name) }
}

fn from_tensors(file: &TensorFile<'_>) -> Result<Model> {
    let metadata = Metadata::read(file)?;
    let model = match &metadata.parameters {
        ModelParameters::MultiHead { temperature, top_k } => {
            multi_head::read(file, *temperature, *top_k).map(Model::MultiHead)
        }
        parameters @ ModelParameters::Residual { .. } => {
            residual::read(file, parameters).map(Model::Residual)
        }
        ModelParameters::Linear {} => read_linear(file).map(Model::Linear),
        ModelParameters::Transformer(shape) => {
            transformer::read(file, shape).map(Model::Transformer)
        }
    };
    let model = model.and_then(|model| model.and_search_values(metadata.search));
    let model = model.map_err(|error| in_file(error, file.name()))?;
    for (key, said, found) in [
        ("input_dim", metadata.input_dim, model.input_dim()),
        ("output_dim", metadata.output_dim, model.output_dim()),
    ] {
        if let Some(said) = said.filter(|said| *said != found) {
            let what = format!("'{key}' is {said}, but the tensors have {found}");
            return Err(file.invalid(what));
        }
    }
    if !file.is_mapped() || file.len() <= CHECKED_AT_ONCE {
        model.check_values()?;
    }
    Ok(model)
}

fn read_linear(file: &TensorFile<'_>) -> Result<LinearProjection> {
    let shape = file.shape::<f32>(MATRIX, 2)?;
    LinearProjection::from_rows(file.rows(MATRIX, shape)?)
}

fn write_model(
    model: &Model,
    about: &Description,
    writer: &mut impl std::io::Write,
) -> std::io::Result<()> {
    let metadata = description::write(model, about);
    let (heads, terms);
    let tensors = match model {
        Model::MultiHead(model) => {
            heads = model.stored();
            multi_head::tensors(&heads)
        }
        Model::Residual(model) => {
            terms = model.stored();
            residual::tensors(&terms)
        }
        Model::Linear(model) => {
            vec![NewTensor::new(MATRIX, &[model.output_dim(), model.input_dim()], model.rows())]
        }
        Model::Transformer(model) => transformer::tensors(model.weights()),
    };
    tensors::write(writer, &tensors, &metadata)
}
