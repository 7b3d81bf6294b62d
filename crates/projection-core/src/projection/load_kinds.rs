//! Residual and linear projections, and multi-head ones with parameters, from files.

use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::load::check_complete;
use super::residual::ResidualPart;
use super::{LinearProjection, Model, MultiHeadProjection, QuestionHead};
use super::{ResidualParts, ResidualProjection};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, HeadFiles};
use crate::npy::NpyArray;
use crate::parameters::{ModelKind, ModelParameters, SearchValues};

impl Model {
    /// Loads projection `id` from its files in `folder`, see
    /// [`MultiHeadProjection::load_unified`]; of whatever kind, where a folder has heads
    /// and a linear projection of one id, the heads.
    ///
    /// `temperature` may be `None` for models that say theirs, which residual ones and
    /// those with further parameters do; a linear one has none.
    ///
    /// # Errors
    /// As [`MultiHeadProjection::load_unified`].
    pub fn load(
        folder: impl AsRef<Path>,
        id: i64,
        temperature: impl Into<Option<f64>>,
    ) -> Result<Self> {
        from_folder(folder.as_ref(), None, id, temperature.into())
    }

    /// [`load`](Self::load) of a model of `kind`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none of the kind, otherwise as
    /// [`load`](Self::load).
    pub fn load_kind(
        folder: impl AsRef<Path>,
        kind: ModelKind,
        id: i64,
        temperature: impl Into<Option<f64>>,
    ) -> Result<Self> {
        from_folder(folder.as_ref(), Some(kind), id, temperature.into())
    }
}

/// Loads the model with the given id from its files, without a database; of any kind for
/// `None`.
fn from_folder(
    folder: &Path,
    kind: Option<ModelKind>,
    id: i64,
    temperature: Option<f64>,
) -> Result<Model> {
    let find = |name: String| match folder.is_dir() {
        true => layout::find_file(folder, &name),
        false => Ok(None),
    };
    let described = find(layout::model_name(id))?;
    let parameters = described.as_deref().map(ModelParameters::load).transpose()?;
    if let (Some(path), Some(parameters @ ModelParameters::Residual { .. }), true) =
        (&described, &parameters, kind != Some(ModelKind::MultiHead))
    {
        let folder = path.parent().unwrap_or(Path::new(""));
        check_complete(folder, id)?;
        let heads = match layout::discover_heads(folder, id) {
            Ok(heads) => heads,
            // A model of an adapter or a lift alone may have none.
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let parameters = with_temperature(parameters.clone(), temperature);
        let file = |name: String| Ok(folder.join(name));
        let model = residual(&parameters, &heads, id, &file).map(Model::Residual)?;
        let model = model.with_stored_index(folder, id);
        return model.and_search_values(SearchValues::load(path)?);
    }
    if let Some(kind @ (ModelKind::Residual | ModelKind::Transformer)) = kind {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{}: no {} projection {id}", folder.display(), kind.name()),
        ));
    }
    // Old stores have linear and multi-head projections of one id in one folder: without a
    // kind, the heads are meant.
    let heads = match kind {
        Some(ModelKind::Linear) => Err(Error::new(
            ErrorKind::NotFound,
            format!("{}: no linear projection {id}", folder.display()),
        )),
        _ => layout::discover_heads(folder, id),
    };
    match heads {
        Err(error) if error.kind() == ErrorKind::NotFound && kind != Some(ModelKind::MultiHead) => {
            match find(layout::linear_name(id))? {
                Some(path) => {
                    check_complete(path.parent().unwrap_or(Path::new("")), id)?;
                    let values = match (&described, parameters) {
                        (Some(path), Some(ModelParameters::Linear {})) => {
                            Some(SearchValues::load(path)?)
                        }
                        _ => None,
                    };
                    linear(&path).map(Model::Linear)?.and_search_values(values.unwrap_or_default())
                }
                None => Err(error),
            }
        }
        Err(error) => Err(error),
        Ok(heads) => {
            let (recorded, top_k) = match parameters {
                Some(ModelParameters::MultiHead { temperature, top_k }) => {
                    (Some(temperature), top_k)
                }
                _ => (None, None),
            };
            let temperature = temperature.or(recorded).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "{}: the files of projection {id} do not say its temperature: give one",
                        folder.display()
                    ),
                )
            })?;
            let folder = heads.first().and_then(|head| head.centroid.parent());
            let folder = folder.unwrap_or(Path::new(""));
            check_complete(folder, id)?;
            let model = MultiHeadProjection::load_heads(&heads, temperature)?;
            let values = match (recorded, &described) {
                (Some(_), Some(path)) => Some(SearchValues::load(path)?),
                _ => None,
            };
            model
                .with_top_k(top_k)
                .map(Model::MultiHead)?
                .with_stored_index(folder, id)
                .and_search_values(values.unwrap_or_default())
        }
    }
}

pub fn with_temperature(mut parameters: ModelParameters, wanted: Option<f64>) -> ModelParameters {
    if let (ModelParameters::Residual { temperature, .. }, Some(wanted)) = (&mut parameters, wanted)
    {
        *temperature = wanted;
    }
    parameters
}

pub fn linear(path: &Path) -> Result<LinearProjection> {
    LinearProjection::new(load_matrix(path)?)
        .map_err(|error| error.context(path.display().to_string()))
}

/// `file` gives the path of a file of the model by its name.
pub fn residual(
    parameters: &ModelParameters,
    heads: &[HeadFiles],
    id: i64,
    file: &dyn Fn(String) -> Result<PathBuf>,
) -> Result<ResidualProjection> {
    let ModelParameters::Residual { gain, temperature, neighbours, rotation, adapter, lift } =
        *parameters
    else {
        return Err(Error::new(ErrorKind::Internal, "parameters of another kind"));
    };
    let mut parts =
        ResidualParts { gain, temperature, neighbours, rotation, ..ResidualParts::new(0) };
    let adapter_path = adapter.then(|| file(layout::adapter_name(id))).transpose()?;
    parts.adapter = adapter_path.as_deref().map(load_matrix).transpose()?;
    let lift_path = lift.map(|_| file(layout::lift_name(id))).transpose()?;
    parts.lift = match (&lift_path, lift) {
        (Some(path), Some(factor)) => Some((load_vector(path)?, factor)),
        _ => None,
    };
    let mut question_paths = Vec::with_capacity(heads.len());
    for head in heads {
        let path = file(layout::questions_name(id, head.cluster_id))?;
        let in_head = |error: Error| error.context(format!("head of cluster {}", head.cluster_id));
        parts.heads.push(QuestionHead {
            cluster_id: head.cluster_id,
            answer: load_vector(&head.answer).map_err(in_head)?,
            questions: load_matrix(&path).map_err(in_head)?,
        });
        question_paths.push(path);
    }
    parts.dim = match (parts.heads.first(), &parts.adapter, &parts.lift) {
        (Some(head), _, _) => head.answer.len(),
        (None, Some(adapter), _) => adapter.nrows(),
        (None, None, Some((direction, _))) => direction.len(),
        (None, None, None) => {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                "a residual projection without questions, adapter and lift",
            ));
        }
    };
    let name = |path: &Option<PathBuf>| match path {
        Some(path) => path.display().to_string(),
        None => String::new(),
    };
    // Heads are in the order of the files, which is that of cluster ids.
    ResidualProjection::from_named_parts(parts, |part| match part {
        ResidualPart::Answer(head) => heads[head].answer.display().to_string(),
        ResidualPart::Questions(head) => question_paths[head].display().to_string(),
        ResidualPart::Adapter => name(&adapter_path),
        ResidualPart::Lift => name(&lift_path),
    })
}

fn load_vector(path: &Path) -> Result<Vec<f32>> {
    vector(&NpyArray::load(path)?)
}

fn load_matrix(path: &Path) -> Result<Array2<f32>> {
    matrix(&NpyArray::load(path)?)
}

fn vector(array: &NpyArray) -> Result<Vec<f32>> {
    array.vector_len()?;
    array.to_f32()
}

fn matrix(array: &NpyArray) -> Result<Array2<f32>> {
    let values = Array2::from_shape_vec(array.matrix_shape(), array.to_f32()?);
    Ok(values.expect("the shape is the array's own"))
}
