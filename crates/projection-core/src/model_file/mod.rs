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
//! | `multi_head` | `head_ids` I64 (N); `centroids` (N × d), of length 1, in F64 if the model keeps them so for low temperatures, otherwise in F32; `answers` (N × o); or, in less memory, `centroids` and `answers` in BF16, or in I8 with `centroid_scales` and `answer_scales` (N), which bytes are multiplied by; if heads have matrices, `matrices` (m × o × d) and `matrix_heads` I64 (m), the numbers of these heads |
//! | `residual` | if there are questions, `head_ids` and `question_counts` I64 (N), `answers` (N × d) and `questions` (n × d); `adapter` (d × d) |
//! | `linear` | `matrix` (o × d) |
//! | `transformer` | torch's tensors under torch's names, such as `encoder.layers.0.norm1.weight` |
//!
//! Models of either of the first two kinds with an approximate index (see
//! [`Model::with_approximate_index`](crate::projection::Model::with_approximate_index)) of l
//! inverted lists also hold, for their n heads or training questions: `index_codes` I8 (n × d)
//! with `index_code_scales` (n), the vectors at length 1, one list after another; `index_rows` I64
//! (n), their numbers; `index_offsets` I64 (l + 1), where each list begins; `index_centroids` I8
//! (l × d) with `index_centroid_scales` (l), and `index_radii` (l); `index_stats` F64 (6), the
//! greatest distance of a vector from its code, the measured recall, the share of vectors that is
//! read, and the probe margins for k = 1, 10, 32.

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
    /// renaming, as [`save_file`](Self::save_file) does, or removing it is safe. Where another
    /// program may do otherwise, read the file and open its bytes by
    /// [`from_bytes`](Self::from_bytes).
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
            Self::Residual(terms) => terms.parts().parameters(),
            Self::Linear(_) => ModelParameters::Linear {},
            Self::Transformer(network) => ModelParameters::Transformer(network.shape().clone()),
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
    let model = model.and_then(|model| model.with_search_defaults(metadata.search));
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
    if !file.is_mapped() || file.byte_len() <= CHECKED_AT_ONCE {
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
    let tensors = match model {
        Model::MultiHead(model) => multi_head::tensors(model),
        Model::Residual(model) => residual::tensors(model),
        Model::Linear(model) => {
            vec![NewTensor::new(MATRIX, &[model.output_dim(), model.input_dim()], model.rows())]
        }
        Model::Transformer(model) => transformer::tensors(model.weights()),
    };
    tensors::write(writer, &tensors, &metadata)
}
