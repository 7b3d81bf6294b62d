//! Training a linear projection: one matrix W (o × d) for all queries.

use ndarray::{Array2, ArrayView2, Axis};

use crate::centroid::centroid_and_weights;
use crate::error::{Error, ErrorKind, Result};
use crate::linalg::Ridge;

/// How the matrix is found. With questions q and their answers a as columns of Q and A, and
/// the inverse being the pseudo-inverse where μ = 0:
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LinearMethod {
    /// A Q̄ᵀ (Q̄ Q̄ᵀ + λ Δ Δᵀ + μ I)⁻¹ with one column a cluster: Q̄ the weighted centroids of
    /// the questions, Δ the questions less their centroid, times the square root of their
    /// weight.
    Lda {
        /// λ, 1 by default.
        spread: f64,
        /// μ, 1e-6 by default.
        ridge: f64,
    },
    /// A Qᵀ (Q Qᵀ + μ I)⁻¹: least squares over all questions.
    Ridge {
        /// μ.
        ridge: f64,
    },
    /// (A Qᵀ + μ I) (Q Qᵀ + μ I)⁻¹: least squares, drawn towards leaving queries as they are.
    RidgeToIdentity {
        /// μ.
        ridge: f64,
    },
}

impl LinearMethod {
    /// LDA with its usual parameters.
    pub fn lda() -> Self {
        Self::Lda { spread: 1.0, ridge: 1e-6 }
    }

    /// λ and μ; λ is 0 where there is none.
    pub fn regularisation(self) -> (f64, f64) {
        match self {
            Self::Lda { spread, ridge } => (spread, ridge),
            Self::Ridge { ridge } | Self::RidgeToIdentity { ridge } => (0.0, ridge),
        }
    }

    /// Whether both solve the same [`problem`](Self::problem), with another μ.
    pub(super) fn shares_problem_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::Lda { spread, .. }, Self::Lda { spread: other, .. }) => spread == other,
            (Self::Lda { .. }, _) | (_, Self::Lda { .. }) => false,
            _ => true,
        }
    }

    /// The ridge regression that this is, on arguments that have been [checked](check).
    ///
    /// LDA is the regression of the answers on the centroids and of zero on the rows
    /// √(λ w) (q − c) of the questions q with weight w and centroid c.
    pub(crate) fn problem(
        self,
        questions: ArrayView2<'_, f32>,
        answers: ArrayView2<'_, f32>,
        labels: &[usize],
    ) -> Result<Ridge> {
        let (dim, outputs) = (questions.ncols(), answers.ncols());
        let Self::Lda { spread, .. } = self else {
            let rows: Vec<f32> = questions.iter().copied().collect();
            let targets: Vec<f32> = answers.select(Axis(0), labels).into_iter().collect();
            return Ok(Ridge::new(&rows, dim, &targets, outputs));
        };
        let (mut rows, mut targets) = (Vec::<f64>::new(), Vec::new());
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|number| labels[*number]);
        for numbers in order.chunk_by(|a, b| labels[*a] == labels[*b]) {
            let (row, own) = (labels[numbers[0]], questions.select(Axis(0), numbers));
            let (centroid, weights) = centroid_and_weights(own.view())
                .map_err(|error| error.context(format!("questions of answer {row}")))?;
            rows.extend(centroid.iter().copied().map(f64::from));
            targets.extend(answers.row(row));
            for (question, weight) in own.rows().into_iter().zip(weights) {
                let factor = (spread * weight).sqrt();
                rows.extend(question.iter().zip(&centroid).map(|(q, c)| factor * f64::from(q - c)));
            }
            targets.resize(rows.len() / dim * outputs, 0.0);
        }
        Ok(Ridge::new(&rows, dim, &targets, outputs))
    }

    /// W (o × d) of a [`problem`](Self::problem) of this method or one that shares it.
    pub(super) fn solve(self, problem: &Ridge) -> Result<Array2<f32>> {
        let to_identity = matches!(self, Self::RidgeToIdentity { .. });
        problem.solve(self.regularisation().1, to_identity)
    }

    /// The name for people and for the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lda { .. } => "lda",
            Self::Ridge { .. } => "ridge",
            Self::RidgeToIdentity { .. } => "ridge_to_identity",
        }
    }
}

/// Trains W (o × d) on questions (n × d) and answers (m × o), which may have another
/// dimension; `labels[i]` is the row of the answer to question i.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] for parameters that are negative or not finite, for a μ
/// that is not 0 and too small to make the inverse exist, and for W drawn to the identity
/// where o ≠ d;
/// [`ErrorKind::DimensionMismatch`] if there are not as many labels as questions;
/// [`ErrorKind::InvalidModel`] for no questions; [`ErrorKind::NotFinite`] for vectors with
/// NaN or infinity.
pub fn train_linear(
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    labels: &[usize],
    method: LinearMethod,
) -> Result<Array2<f32>> {
    check(questions, answers, labels, method)?;
    method.solve(&method.problem(questions, answers, labels)?)
}

/// Refuses arguments that [`train_linear`] does not accept.
pub(crate) fn check(
    questions: ArrayView2<'_, f32>,
    answers: ArrayView2<'_, f32>,
    labels: &[usize],
    method: LinearMethod,
) -> Result<()> {
    let (spread, ridge) = method.regularisation();
    let to_identity = matches!(method, LinearMethod::RidgeToIdentity { .. });
    let shape = (answers.ncols(), questions.ncols());
    let factor = [("λ", spread), ("μ", ridge)]
        .into_iter()
        .find(|(_, value)| !(value.is_finite() && *value >= 0.0));
    let not_finite = [("questions", questions), ("answers", answers)]
        .into_iter()
        .find(|(_, values)| values.iter().any(|value| !value.is_finite()));
    let (kind, message) = if let Some((name, value)) = factor {
        let message = format!("{name} = {value}, expected a finite number not below zero");
        (ErrorKind::InvalidArgument, message)
    } else if to_identity && shape.0 != shape.1 {
        let message = format!(
            "W of shape {shape:?} drawn to the identity, expected questions and answers of one \
             dimension"
        );
        (ErrorKind::InvalidArgument, message)
    } else if labels.len() != questions.nrows() {
        let message = format!("{} labels for {} questions", labels.len(), questions.nrows());
        (ErrorKind::DimensionMismatch, message)
    } else if let Some(label) = labels.iter().find(|label| **label >= answers.nrows()) {
        let message = format!("label {label}, expected a row of the {} answers", answers.nrows());
        (ErrorKind::InvalidArgument, message)
    } else if questions.is_empty() || answers.is_empty() {
        (ErrorKind::InvalidModel, "no questions to train on".into())
    } else if let Some((name, _)) = not_finite {
        (ErrorKind::NotFinite, format!("{name} with NaN or infinity"))
    } else {
        return Ok(());
    };
    Err(Error::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn wave(rows: usize, columns: usize, step: f32) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(r, c)| {
            ((r * columns + c + 1) as f32).powf(1.5 + step).sin()
        })
    }

    #[test]
    fn ridge_finds_a_linear_map() {
        let (truth, questions) = (wave(3, 5, 0.37), wave(40, 5, 0.91));
        let answers = questions.dot(&truth.t());
        let labels: Vec<usize> = (0..40).collect();
        let method = LinearMethod::Ridge { ridge: 1e-9 };
        let found = train_linear(questions.view(), answers.view(), &labels, method).unwrap();
        assert!((&found - &truth).iter().all(|error| error.abs() < 1e-5), "{found}");
    }

    #[test]
    fn drawn_to_the_identity_by_hand() {
        // One question (1, 0) with the answer (0, 1) and μ = 1:
        // (a qᵀ + I)(q qᵀ + I)⁻¹ = [[1, 0], [1, 1]] · [[1/2, 0], [0, 1]].
        let (questions, answers) = (array![[1.0, 0.0]], array![[0.0, 1.0]]);
        let method = LinearMethod::RidgeToIdentity { ridge: 1.0 };
        let found = train_linear(questions.view(), answers.view(), &[0], method).unwrap();
        assert_eq!(found, array![[0.5, 0.0], [0.5, 1.0]]);
    }

    #[test]
    fn lda_by_hand() {
        // Two questions (±0.6, 0.8) of equal weight ½: centroid (0, 1), residuals
        // (±0.6, −0.2), so M = diag(0, 1) + λ diag(0.36, 0.04) + μ I.
        let (questions, answers) = (array![[0.6f32, 0.8], [-0.6, 0.8]], array![[2.0, 1.0, 0.0]]);
        let method = LinearMethod::Lda { spread: 0.5, ridge: 0.1 };
        let found = train_linear(questions.view(), answers.view(), &[0, 0], method).unwrap();
        let expected = 1.0 / (1.0 + 0.5 * 0.04 + 0.1);
        let expected = array![[0.0, 2.0 * expected], [0.0, expected], [0.0, 0.0]];
        assert!((&found - &expected).iter().all(|error| error.abs() < 1e-6), "{found}");
    }

    #[test]
    fn without_a_ridge_the_inverse_is_the_pseudo_inverse() {
        // Two questions along the axes e₁ and e₂ of three: W maps them to their answers and
        // e₃, which no question has, to nothing.
        let questions = array![[2.0f32, 0.0, 0.0], [0.0, 0.5, 0.0]];
        let answers = array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let method = LinearMethod::Ridge { ridge: 0.0 };
        let found = train_linear(questions.view(), answers.view(), &[0, 1], method).unwrap();
        let expected = array![[0.5, 8.0, 0.0], [1.0, 10.0, 0.0], [1.5, 12.0, 0.0]];
        assert!((&found - &expected).iter().all(|error| error.abs() < 1e-6), "{found}");
        // Centroids e₁ and e₂, of which the first question is (1, 0, 0) away: M = diag(2, 1, 0).
        let questions = array![[2.0f32, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let method = LinearMethod::Lda { spread: 1.0, ridge: 0.0 };
        let found = train_linear(questions.view(), answers.view(), &[0, 1], method).unwrap();
        let expected = array![[0.5, 4.0, 0.0], [1.0, 5.0, 0.0], [1.5, 6.0, 0.0]];
        assert!((&found - &expected).iter().all(|error| error.abs() < 1e-6), "{found}");
    }

    #[test]
    fn refuses_what_does_not_determine_a_matrix() {
        let questions = wave(2, 5, 0.3);
        let kind = |method, answers: &Array2<f32>, labels: &[usize]| {
            train_linear(questions.view(), answers.view(), labels, method).unwrap_err().kind()
        };
        let square = wave(2, 5, 0.7);
        let negative = LinearMethod::Ridge { ridge: -1.0 };
        assert_eq!(kind(negative, &square, &[0, 1]), ErrorKind::InvalidArgument);
        let identity = LinearMethod::RidgeToIdentity { ridge: 1.0 };
        assert_eq!(kind(identity, &wave(2, 4, 0.7), &[0, 1]), ErrorKind::InvalidArgument);
        assert_eq!(kind(LinearMethod::lda(), &square, &[0]), ErrorKind::DimensionMismatch);
        assert_eq!(kind(LinearMethod::lda(), &square, &[0, 2]), ErrorKind::InvalidArgument);
    }
}
