//! Rows of bytes by the instructions of AVX-512 that multiply bytes.
//!
//! Both kernels take what they multiply rows with in 16 bits, as two bytes: the query of
//! products, and the weights of sums.

use std::arch::x86_64::*;

use super::super::split_rows;
use super::{avx512, read, write};
use crate::prefetch::prefetch_line;
use crate::quantized::int8::{Int8Query, Int8Rows, product};
use crate::weighted_sum::ROWS;

/// The products of a query with rows of bytes, into `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
pub(super) fn dots(query: Int8Query<'_>, rows: Int8Rows<'_>, out: &mut [f32]) {
    match rows.next.is_empty() {
        true => dots_with::<false>(query, rows, out),
        false => dots_with::<true>(query, rows, out),
    }
}

/// [`dots`]; with `PREFETCH`, the next rows are requested.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
fn dots_with<const PREFETCH: bool>(query: Int8Query<'_>, rows: Int8Rows<'_>, out: &mut [f32]) {
    let dim = query.high.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let first = 4 * fours.len();
    let (bytes, last_bytes) = rows.bytes.split_at(first * dim);
    let next = |row: usize| rows.next.as_ptr().wrapping_add(row * dim);
    let (sums, scales) = (rows.sums.as_chunks::<4>().0, rows.scales.as_chunks::<4>().0);
    for (four, out) in fours.iter_mut().enumerate() {
        let bytes = &bytes[4 * four * dim..][..4 * dim];
        let [high, low] = dots_of::<4, PREFETCH>(query, bytes, next(4 * four));
        // `product` of four.
        let zeros = _mm_slli_epi32::<7>(read(&sums[four]));
        let high = _mm_cvtepi32_ps(_mm_sub_epi32(high, zeros));
        let low = _mm_cvtepi32_ps(_mm_sub_epi32(low, zeros));
        let scale = _mm_mul_ps(_mm_set1_ps(query.scale), read(&scales[four]));
        let dots = _mm_add_ps(_mm_mul_ps(high, _mm_set1_ps(256.0)), low);
        write(_mm_mul_ps(dots, scale), out);
    }
    if rest.is_empty() {
        return;
    }
    let [high, low] = match rest.len() {
        1 => dots_of::<1, PREFETCH>(query, last_bytes, next(first)),
        2 => dots_of::<2, PREFETCH>(query, last_bytes, next(first)),
        _ => dots_of::<3, PREFETCH>(query, last_bytes, next(first)),
    };
    let (high, low): ([i32; 4], [i32; 4]) = (read(&high), read(&low));
    for (r, out) in rest.iter_mut().enumerate() {
        let (scale, sum) = (rows.scales[first + r], rows.sums[first + r]);
        *out = product(query.scale, (high[r], low[r]), scale, sum);
    }
}

/// The products of the high and of the low bytes with `R` rows, at most four, and the address
/// from which the next ones are requested.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
fn dots_of<const R: usize, const PREFETCH: bool>(
    query: Int8Query<'_>,
    bytes: &[i8],
    next: *const i8,
) -> [__m128i; 2] {
    let dim = query.high.len();
    let highs = query.high.as_chunks::<64>().0;
    let lows = &query.low.as_chunks::<64>().0[..highs.len()];
    let (rows, _) = split_rows::<i8, 64, R>(bytes, dim);
    let mut high = [_mm512_setzero_si512(); 4];
    let mut low = [_mm512_setzero_si512(); 4];
    for at in 0..highs.len() {
        let (query_high, query_low) = (read(&highs[at]), read(&lows[at]));
        for r in 0..R {
            if PREFETCH {
                prefetch_line::<_, true>(next.wrapping_add(r * dim + 64 * at));
            }
            let row = read(&rows[r][at]);
            high[r] = _mm512_dpbusd_epi32(high[r], query_high, row);
            low[r] = _mm512_dpbusd_epi32(low[r], query_low, row);
        }
    }
    [sums_of_four(high), sums_of_four(low)]
}

/// The sum of each.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn sums_of_four([a, b, c, d]: [__m512i; 4]) -> __m128i {
    // As the sums of `avx512`.
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let quarters = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let high = _mm512_extracti64x4_epi64::<1>(quarters);
    let halves = _mm256_add_epi32(_mm512_castsi512_si256(quarters), high);
    let high = _mm256_extracti128_si256::<1>(halves);
    _mm_add_epi32(_mm256_castsi256_si128(halves), high)
}

/// Σₖ weightₖ·rowₖ of weights that are not negative, rounded to a 65535th of the largest.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
pub(super) fn weighted_sum(weights: &[f32], rows: &[i8], overwrite: bool, out: &mut [f32]) {
    let dim = out.len();
    for (block, (weights, rows)) in weights.chunks(ROWS).zip(rows.chunks(ROWS * dim)).enumerate() {
        let weights = Quads::of(weights);
        let overwrite = overwrite && block == 0;
        let mut at = 0;
        while at + 128 <= dim {
            columns::<2>(&weights, rows, at, overwrite, out);
            at += 128;
        }
        if at < dim {
            columns::<1>(&weights, rows, at, overwrite, out);
        }
    }
}

/// Weights in 16 bits, four high and four low bytes together.
struct Quads {
    rows: usize,
    high: [[u8; 16]; ROWS / 16],
    low: [[u8; 16]; ROWS / 16],
    /// What the bytes have to be multiplied by.
    scale: f32,
}

impl Quads {
    /// Of at most [`ROWS`] weights.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    fn of(weights: &[f32]) -> Self {
        let mut quads = Self {
            rows: weights.len(),
            high: [[0; 16]; ROWS / 16],
            low: [[0; 16]; ROWS / 16],
            scale: 0.0,
        };
        let mut tops = _mm512_setzero_ps();
        let (vectors, end) = weights.as_chunks::<16>();
        for vector in vectors {
            tops = _mm512_max_ps(tops, read(vector));
        }
        let end = avx512::load_part(end);
        let top = _mm512_reduce_max_ps(_mm512_max_ps(tops, end));
        // All weights may be zero, or so small that nothing is left of them.
        let steps = 65_535.0 / top;
        if !steps.is_finite() {
            return quads;
        }
        quads.scale = top / 65_535.0;
        for (at, (high, low)) in quads.high.iter_mut().zip(&mut quads.low).enumerate() {
            let weights = vectors.get(at).map_or(end, read);
            let rounded = _mm512_mul_ps(weights, _mm512_set1_ps(steps));
            let rounded = _mm512_cvttps_epi32(_mm512_add_ps(rounded, _mm512_set1_ps(0.5)));
            let rounded = _mm512_min_epi32(rounded, _mm512_set1_epi32(65_535));
            write(_mm512_cvtepi32_epi8(_mm512_srli_epi32::<8>(rounded)), high);
            write(_mm512_cvtepi32_epi8(rounded), low);
            if at >= vectors.len() {
                break;
            }
        }
        quads
    }
}

/// `C` registers of bytes of columns, at most two, from column `at` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
fn columns<const C: usize>(
    weights: &Quads,
    rows: &[i8],
    at: usize,
    overwrite: bool,
    out: &mut [f32],
) {
    let dim = out.len();
    let zero = _mm512_setzero_si512();
    let (mut high, mut low) = ([[zero; 4]; C], [[zero; 4]; C]);
    let all = weights.high.as_flattened().as_chunks::<4>().0;
    let all = all.iter().zip(weights.low.as_flattened().as_chunks::<4>().0);
    for (quad, (above, below)) in all.enumerate().take(weights.rows.div_ceil(4)) {
        let above = _mm512_set1_epi32(i32::from_le_bytes(*above));
        let below = _mm512_set1_epi32(i32::from_le_bytes(*below));
        // The last row stands in for those that four rows lack, with a weight of 0.
        let row = |number: usize| {
            let row = (4 * quad + number).min(weights.rows - 1);
            rows[row * dim + at..][..64 * C].as_chunks::<64>().0
        };
        let four = [row(0), row(1), row(2), row(3)];
        for c in 0..C {
            let (a, b) = (read(&four[0][c]), read(&four[1][c]));
            let (c_row, d) = (read(&four[2][c]), read(&four[3][c]));
            let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c_row, d));
            let (ab_rest, cd_rest) = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c_row, d));
            // In each quarter of 16 columns: four bytes of each column, by four columns.
            let by_column = [
                _mm512_unpacklo_epi16(ab, cd),
                _mm512_unpackhi_epi16(ab, cd),
                _mm512_unpacklo_epi16(ab_rest, cd_rest),
                _mm512_unpackhi_epi16(ab_rest, cd_rest),
            ];
            for part in 0..4 {
                high[c][part] = _mm512_dpbusd_epi32(high[c][part], above, by_column[part]);
                low[c][part] = _mm512_dpbusd_epi32(low[c][part], below, by_column[part]);
            }
        }
    }
    let scale = _mm512_set1_ps(weights.scale);
    let out = out[at..][..64 * C].as_chunks_mut::<16>().0;
    for c in 0..C {
        let mut sums = [_mm512_setzero_ps(); 4];
        for part in 0..4 {
            let upper = _mm512_mul_ps(_mm512_cvtepi32_ps(high[c][part]), _mm512_set1_ps(256.0));
            let both = _mm512_add_ps(upper, _mm512_cvtepi32_ps(low[c][part]));
            sums[part] = _mm512_mul_ps(both, scale);
        }
        // Quarter q of register p holds columns from 16q + 4p on: they change places.
        let [a, b, c_sum, d] = sums;
        let (ab, cd) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0x44>(c_sum, d));
        let (ab_rest, cd_rest) =
            (_mm512_shuffle_f32x4::<0xee>(a, b), _mm512_shuffle_f32x4::<0xee>(c_sum, d));
        let in_order = [
            _mm512_shuffle_f32x4::<0x88>(ab, cd),
            _mm512_shuffle_f32x4::<0xdd>(ab, cd),
            _mm512_shuffle_f32x4::<0x88>(ab_rest, cd_rest),
            _mm512_shuffle_f32x4::<0xdd>(ab_rest, cd_rest),
        ];
        for (sum, out) in in_order.into_iter().zip(&mut out[4 * c..][..4]) {
            let before = if overwrite { _mm512_setzero_ps() } else { read(out) };
            write(_mm512_add_ps(before, sum), out);
        }
    }
}
