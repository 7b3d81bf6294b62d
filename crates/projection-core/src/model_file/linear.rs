//! Linear projections as tensors.

use crate::error::Result;
use crate::projection::{LinearProjection, Projection};
use crate::tensors::{NewTensor, TensorFile};

const MATRIX: &str = "matrix";

pub fn tensors(model: &LinearProjection) -> Vec<NewTensor<'_>> {
    vec![NewTensor::singles(MATRIX, &[model.output_dim(), model.input_dim()], model.rows())]
}

pub fn read(file: &TensorFile<'_>) -> Result<LinearProjection> {
    let shape = file.shape(MATRIX, 2)?;
    LinearProjection::from_rows(file.rows(MATRIX, shape)?)
}
