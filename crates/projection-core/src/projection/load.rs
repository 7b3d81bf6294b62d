//! Models from the files of a folder.

use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::multi_head::HeadPart;
use super::residual::check_adapter;
use super::validation::check_finite;
use super::{
    Head, LinearProjection, Model, MultiHeadProjection, Questions, ResidualParts,
    ResidualProjection,
};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Rows;
use crate::layout::{self, HeadFiles};
use crate::npy::NpyArray;
use crate::parameters::{ModelKind, ModelParameters, SearchDefaults};

impl Model {
    /// Loads projection `id` from its files in `folder`, see
    /// [`MultiHeadProjection::load_unified`]; of any kind. If a folder has heads and a linear
    /// projection of one id, it is the one with heads.
    ///
    /// `temperature` may be `None` for a model that has a stored one, which residual models and
    /// those with further parameters have, and for a linear one, which has no temperature.
    ///
    /// # Errors
    /// As [`MultiHeadProjection::load_unified`].
    pub fn load(
        folder: impl AsRef<Path>,
        id: i64,
        temperature: impl Into<Option<f64>>,
    ) -> Result<Self> {
        load(folder.as_ref(), id, temperature.into())
    }
}

fn load(folder: &Path, id: i64, temperature: Option<f64>) -> Result<Model> {
    let find = |name: String| match folder.is_dir() {
        true => layout::find_file(folder, &name),
        false => Ok(None),
    };
    let described = find(layout::model_name(id))?;
    let stored = described.as_deref().map(load_description).transpose()?;
    let (parameters, search) = stored.unzip();
    if let (Some(path), Some(parameters @ ModelParameters::Residual { .. })) =
        (&described, &parameters)
    {
        return load_residual(folder_of(path), id, parameters, temperature)?
            .with_search_defaults(search.unwrap_or_default());
    }
    // In old stores, linear and multi-head projections share ids: the heads are meant.
    let not_found = match layout::discover_heads(folder, id) {
        Ok(heads) => {
            let stored = parameters.filter(|stored| stored.kind() == ModelKind::MultiHead);
            let search = search.filter(|_| stored.is_some()).unwrap_or_default();
            return load_multi_head(&heads, id, stored, temperature)?.with_search_defaults(search);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => error,
        Err(error) => return Err(error),
    };
    let Some(path) = find(layout::linear_name(id))? else { return Err(not_found) };
    check_complete(folder_of(&path), id)?;
    let search = search.filter(|_| parameters == Some(ModelParameters::Linear {}));
    let model = Model::Linear(LinearProjection::load_matrix(&path)?);
    model.with_search_defaults(search.unwrap_or_default())
}

fn load_description(path: &Path) -> Result<(ModelParameters, SearchDefaults)> {
    Ok((ModelParameters::load(path)?, SearchDefaults::load(path)?))
}

fn load_residual(
    folder: &Path,
    id: i64,
    parameters: &ModelParameters,
    temperature: Option<f64>,
) -> Result<Model> {
    check_complete(folder, id)?;
    let heads = match layout::discover_heads(folder, id) {
        // A model of an adapter alone may have none.
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        heads => heads?,
    };
    let file = |name: String| Ok(folder.join(name));
    let mut model = ResidualProjection::load_files(parameters, &heads, id, &file)?;
    if let Some(temperature) = temperature {
        model = model.with_temperature(temperature)?;
    }
    Ok(Model::Residual(model).with_stored_index(folder, id))
}

fn load_multi_head(
    heads: &[HeadFiles],
    id: i64,
    stored: Option<ModelParameters>,
    temperature: Option<f64>,
) -> Result<Model> {
    let folder = heads.first().map_or(Path::new(""), |head| folder_of(&head.centroid));
    check_complete(folder, id)?;
    let (stored, top_k) = match stored {
        Some(ModelParameters::MultiHead { temperature, top_k }) => (Some(temperature), top_k),
        _ => (None, None),
    };
    let temperature = temperature.or(stored).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{}: projection {id} has no stored temperature; pass one explicitly",
                folder.display()
            ),
        )
    })?;
    let model = MultiHeadProjection::load_heads(heads, temperature)?.with_top_k(top_k)?;
    Ok(Model::MultiHead(model).with_stored_index(folder, id))
}

/// Refuses the files of a training that is under way or was interrupted.
fn check_complete(folder: &Path, id: i64) -> Result<()> {
    if !folder.join(layout::incomplete_name(id)).exists() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidModel,
        format!(
            "{}: projection {id} is being trained, or its training was interrupted ({} is there)",
            folder.display(),
            layout::incomplete_name(id)
        ),
    ))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

impl MultiHeadProjection {
    /// Loads projection `id` from its files, without a database.
    ///
    /// `folder` is `embeddings/{model_name}`, or `embeddings` of an older store, or a folder
    /// of model folders of which exactly one holds the id; see
    /// [`layout::discover_heads`](crate::layout::discover_heads).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the folder or the id does not exist,
    /// [`ErrorKind::AmbiguousModel`] if two folders hold it,
    /// [`ErrorKind::InvalidArray`] for damaged files, [`ErrorKind::InvalidModel`],
    /// [`ErrorKind::DimensionMismatch`], [`ErrorKind::NotFinite`] or
    /// [`ErrorKind::ZeroVector`] if the heads do not make a model, and
    /// [`ErrorKind::InvalidArgument`] for a temperature that is not a finite number above
    /// zero. Messages name the head and the file.
    pub fn load_unified(folder: impl AsRef<Path>, id: i64, temperature: f64) -> Result<Self> {
        let heads = layout::discover_heads(folder, id)?;
        if let Some(head) = heads.first() {
            check_complete(folder_of(&head.centroid), id)?;
        }
        Self::load_heads(&heads, temperature)
    }

    /// Loads the heads in these files, whose clusters ascend.
    ///
    /// # Errors
    /// As [`load_unified`](Self::load_unified).
    pub fn load_heads(files: &[HeadFiles], temperature: f64) -> Result<Self> {
        let heads = files.iter().map(|files| {
            load_head(files)
                .map_err(|error| error.context(format!("head of cluster {}", files.cluster_id)))
        });
        Self::from_ordered_heads(heads, temperature, |number, part| {
            let HeadFiles { centroid, answer, matrix, .. } = &files[number];
            let path = match part {
                HeadPart::Centroid => centroid,
                HeadPart::Answer => answer,
                HeadPart::Matrix => matrix.as_ref().unwrap_or(answer),
            };
            path.display().to_string()
        })
    }
}

fn load_head(files: &HeadFiles) -> Result<Head> {
    let centroid = NpyArray::load(&files.centroid)?;
    centroid.vector_len()?;
    Ok(Head {
        cluster_id: files.cluster_id,
        centroid: centroid.to_f64(),
        answer: load_vector(&files.answer)?,
        matrix: files.matrix.as_deref().map(load_matrix).transpose()?,
    })
}

impl LinearProjection {
    /// Loads the matrix in a `.npy` file.
    ///
    /// # Errors
    /// As [`new`](Self::new), and for a file that can't be read. Messages name the file.
    pub fn load_matrix(path: &Path) -> Result<Self> {
        Self::new(load_matrix(path)?).map_err(|error| error.context(path.display()))
    }
}

impl ResidualProjection {
    /// Loads a model with these parameters. `heads` are the files of its heads, whose clusters
    /// ascend; `file` returns the path of another file of the model by its name.
    ///
    /// # Errors
    /// As [`new`](Self::new), and for files that can't be read. Messages name the file.
    pub fn load_files(
        parameters: &ModelParameters,
        heads: &[HeadFiles],
        id: i64,
        file: &dyn Fn(String) -> Result<PathBuf>,
    ) -> Result<Self> {
        let ModelParameters::Residual {
            gain,
            temperature,
            neighbours,
            rotation,
            adapter,
            answer_angle,
        } = *parameters
        else {
            return Err(Error::new(ErrorKind::Internal, "parameters of another kind"));
        };
        let mut questions = None;
        for head in heads {
            let in_head =
                |error: Error| error.context(format!("head of cluster {}", head.cluster_id));
            let path = file(layout::questions_name(id, head.cluster_id))?;
            let answer = load_vector(&head.answer).map_err(in_head)?;
            let rows = load_matrix(&path).map_err(in_head)?;
            let names = [&head.answer, &path].map(|path| path.display().to_string());
            let questions = questions.get_or_insert_with(|| Questions::new(answer.len()));
            let names = names.each_ref().map(String::as_str);
            questions.push_named(head.cluster_id, &answer, rows.view(), names)?;
        }
        let mut dim = questions.as_ref().map(Questions::dim);
        let adapter = match adapter {
            true => {
                let path = file(layout::adapter_name(id))?;
                let matrix = load_matrix(&path)?;
                let values: Vec<f32> = matrix.iter().copied().collect();
                check_adapter(matrix.dim(), *dim.get_or_insert(matrix.nrows()))
                    .and_then(|()| check_finite(&values))
                    .map_err(|error| error.context(path.display()))?;
                Some(Rows::from_values(matrix.ncols(), &values))
            }
            false => None,
        };
        let Some(dim) = dim else {
            return Err(Error::new(
                ErrorKind::InvalidModel,
                "a residual projection without questions and adapter",
            ));
        };
        let questions = questions.unwrap_or_else(|| Questions::new(dim));
        let questions = questions.with_answer_angle(answer_angle)?;
        Self::new(ResidualParts { gain, temperature, neighbours, rotation, questions, adapter })
    }
}

fn load_vector(path: &Path) -> Result<Vec<f32>> {
    let array = NpyArray::load(path)?;
    array.vector_len()?;
    array.to_f32()
}

fn load_matrix(path: &Path) -> Result<Array2<f32>> {
    let array = NpyArray::load(path)?;
    let values = Array2::from_shape_vec(array.matrix_shape(), array.to_f32()?);
    Ok(values.expect("as many values as the shape has"))
}
