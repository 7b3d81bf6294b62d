//! The loops themselves, written so that the compiler vectorises them for whatever
//! instruction set the caller was compiled for. `FMA` says whether a fused multiply–add is
//! one instruction there; where it is not, `mul_add` would be a slow library call.

/// Lanes of a dot product: independent sums, so that additions overlap and rounding errors
/// stay those of sums 64 times shorter.
const LANES: usize = 64;

/// Columns of a weighted sum that stay in registers while all rows pass by.
const COLUMNS: usize = 128;

/// Rows added up in single precision before the partial sum moves to the output, which
/// keeps the error of long sums that of short ones.
const ROWS: usize = 256;

#[inline(always)]
fn multiply_add<const FMA: bool>(a: f32, b: f32, sum: f32) -> f32 {
    if FMA { a.mul_add(b, sum) } else { a * b + sum }
}

#[inline(always)]
fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_tail, b_tail) = (a_blocks.remainder(), b_blocks.remainder());
    for (a, b) in a_blocks.zip(b_blocks) {
        for i in 0..LANES {
            lanes[i] = multiply_add::<FMA>(a[i], b[i], lanes[i]);
        }
    }
    for (i, (a, b)) in a_tail.iter().zip(b_tail).enumerate() {
        lanes[i] = multiply_add::<FMA>(*a, *b, lanes[i]);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[inline(always)]
pub(super) fn dots<const FMA: bool>(query: &[f32], rows: &[f32], out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(query.len()).zip(out) {
        *out = dot::<FMA>(query, row);
    }
}

#[inline(always)]
pub(super) fn weighted_sum<const FMA: bool>(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let dim = out.len();
    out.fill(0.0);
    for (weights, rows) in weights.chunks(ROWS).zip(rows.chunks(ROWS * dim)) {
        for (start, out) in (0..dim).step_by(COLUMNS).zip(out.chunks_mut(COLUMNS)) {
            if let Ok(out) = <&mut [f32; COLUMNS]>::try_from(&mut *out) {
                let mut sums = [0.0f32; COLUMNS];
                for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
                    let row = &row[start..start + COLUMNS];
                    for i in 0..COLUMNS {
                        sums[i] = multiply_add::<FMA>(*weight, row[i], sums[i]);
                    }
                }
                for i in 0..COLUMNS {
                    out[i] += sums[i];
                }
            } else {
                let mut sums = [0.0f32; COLUMNS];
                for (weight, row) in weights.iter().zip(rows.chunks_exact(dim)) {
                    for (sum, value) in sums.iter_mut().zip(&row[start..start + out.len()]) {
                        *sum = multiply_add::<FMA>(*weight, *value, *sum);
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out += sum;
                }
            }
        }
    }
}
