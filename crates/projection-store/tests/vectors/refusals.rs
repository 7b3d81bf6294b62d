//! What every kind of model refuses as a query.

use ndarray::Array2;
use projection_core::ErrorKind;
use projection_core::projection::Projection;

/// Checks that a model of dimension 8 refuses wrong queries and leaves the output as it was.
pub fn assert_refuses_wrong_queries(model: &dyn Projection) {
    let mut out = vec![7.0; 8];
    let mut kind = |query: &[f32]| model.project_into(query, &mut out, None).unwrap_err().kind();
    assert_eq!(kind(&[0.0; 8]), ErrorKind::ZeroVector);
    assert_eq!(kind(&[1.0; 7]), ErrorKind::DimensionMismatch);
    assert_eq!(kind(&[f32::NAN; 8]), ErrorKind::NotFinite);
    assert!(out.iter().all(|value| *value == 7.0));
    let short = model.project_into(&[1.0; 8], &mut [0.0; 7], None).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::BufferSize);
    let mut queries = Array2::<f32>::ones((3, 8));
    queries[(2, 0)] = f32::INFINITY;
    let mut batch = Array2::from_elem((3, 8), 7.0f32);
    let error = model.project_batch_into(queries.view(), batch.view_mut(), None).unwrap_err();
    assert!(error.to_string().contains("row 2"), "{error}");
    assert!(batch.iter().all(|value| *value == 7.0));
}
