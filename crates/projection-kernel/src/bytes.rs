//! Rows of bytes by the instructions of AVX-512 that multiply bytes.
//!
//! Both loops take what they multiply rows with in 16 bits, as two bytes: the query of
//! products, and the weights of sums.

use std::arch::x86_64::*;

use super::narrow::{self, ByteQuery, ByteRows, product};
use super::scores;
use super::table::Ends;
use super::vector::ROWS;
use super::x86::Avx512;

/// The products of a query with rows of bytes, into `out`; needs AVX-512F with BW and VNNI.
/// With `PREFETCH`, the next rows are asked for early.
///
/// # Safety
/// The CPU must have the features; there are a scale, a sum and a row of the query's length,
/// a multiple of 64, for each value of `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
pub(super) unsafe fn dots_i8<const PREFETCH: bool>(
    query: ByteQuery<'_>,
    rows: ByteRows<'_>,
    out: &mut [f32],
) {
    let dim = query.high.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let first = 4 * fours.len();
    let at = |row: usize| {
        let next = rows.next.as_ptr().wrapping_add(row * dim);
        (rows.bytes.as_ptr().wrapping_add(row * dim), next)
    };
    // SAFETY: by this function's own condition: rows of number i lie at i·dim.
    unsafe {
        for (four, out) in fours.iter_mut().enumerate() {
            let row = 4 * four;
            let [high, low] = dots_i8_of::<4, PREFETCH>(dim, query, at(row));
            // `product` of four.
            let zeros = _mm_slli_epi32::<7>(_mm_loadu_si128(rows.sums.as_ptr().add(row).cast()));
            let high = _mm_cvtepi32_ps(_mm_sub_epi32(high, zeros));
            let low = _mm_cvtepi32_ps(_mm_sub_epi32(low, zeros));
            let scale =
                _mm_mul_ps(_mm_set1_ps(query.scale), _mm_loadu_ps(rows.scales.as_ptr().add(row)));
            let dots = _mm_add_ps(_mm_mul_ps(high, _mm_set1_ps(256.0)), low);
            _mm_storeu_ps(out.as_mut_ptr(), _mm_mul_ps(dots, scale));
        }
        if !rest.is_empty() {
            let [high, low] = match rest.len() {
                1 => dots_i8_of::<1, PREFETCH>(dim, query, at(first)),
                2 => dots_i8_of::<2, PREFETCH>(dim, query, at(first)),
                _ => dots_i8_of::<3, PREFETCH>(dim, query, at(first)),
            };
            let (mut highs, mut lows) = ([0; 4], [0; 4]);
            _mm_storeu_si128(highs.as_mut_ptr().cast(), high);
            _mm_storeu_si128(lows.as_mut_ptr().cast(), low);
            for (r, out) in rest.iter_mut().enumerate() {
                let (scale, sum) = (rows.scales[first + r], rows.sums[first + r]);
                *out = product(query.scale, (highs[r], lows[r]), scale, sum);
            }
        }
    }
}

/// The products of the high and of the low bytes with `R` rows, at most four, and where the
/// next ones lie.
///
/// # Safety
/// As for [`dots_i8`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
unsafe fn dots_i8_of<const R: usize, const PREFETCH: bool>(
    dim: usize,
    query: ByteQuery<'_>,
    (rows, next): (*const i8, *const i8),
) -> [__m128i; 2] {
    let mut high = [_mm512_setzero_si512(); 4];
    let mut low = [_mm512_setzero_si512(); 4];
    for at in (0..dim).step_by(64) {
        // SAFETY: by this function's own condition; prefetched addresses need not be valid.
        unsafe {
            let query_high = _mm512_loadu_si512(query.high.as_ptr().add(at).cast());
            let query_low = _mm512_loadu_si512(query.low.as_ptr().add(at).cast());
            for r in 0..R {
                if PREFETCH {
                    _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(r * dim + at));
                }
                let row = _mm512_loadu_si512(rows.add(r * dim + at).cast());
                high[r] = _mm512_dpbusd_epi32(high[r], query_high, row);
                low[r] = _mm512_dpbusd_epi32(low[r], query_low, row);
            }
        }
    }
    [sums_of_four(high), sums_of_four(low)]
}

/// The sum of each.
#[target_feature(enable = "avx512f,avx2")]
fn sums_of_four([a, b, c, d]: [__m512i; 4]) -> __m128i {
    // As the sums of `Avx512`.
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let quarters = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let high = _mm512_extracti64x4_epi64::<1>(quarters);
    let halves = _mm256_add_epi32(_mm512_castsi512_si256(quarters), high);
    let high = _mm256_extracti128_si256::<1>(halves);
    _mm_add_epi32(_mm256_castsi256_si128(halves), high)
}

/// Columns of a weighted sum that are made in one go: two registers of bytes.
const COLUMNS: usize = 128;

/// factor·(out + Σₖ weightₖ·rowₖ), or without `out` where `fresh`, into `out`, of weights that
/// are rounded to a 65535th of the largest; needs AVX-512F with BW and VNNI.
///
/// # Safety
/// The CPU must have the features; `rows` holds as many rows as there are weights, of the
/// length of `out`, a multiple of 64.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
pub(super) unsafe fn weighted_sum_i8(
    weights: &[f32],
    rows: &[i8],
    (fresh, factor): Ends,
    out: &mut [f32],
) {
    let dim = out.len();
    if any_below_zero(weights) {
        // Bytes of weights have no sign. Those of a softmax need none.
        // SAFETY: by this function's own condition.
        return unsafe {
            narrow::weighted_sum_i8::<Avx512, 24>(weights, rows, (fresh, factor), out)
        };
    }
    let blocks = weights.len().div_ceil(ROWS);
    for (block, weights) in weights.chunks(ROWS).enumerate() {
        // SAFETY: by this function's own condition.
        let quads = unsafe { Quads::of(weights) };
        let rows = rows[block * ROWS * dim..].as_ptr();
        let ends = (fresh && block == 0, if block + 1 == blocks { factor } else { 1.0 });
        let mut at = 0;
        // SAFETY: by this function's own condition; columns from `at` on are those of the
        // rows and of `out`.
        unsafe {
            while at + COLUMNS <= dim {
                columns::<2>(&quads, (rows.add(at), dim), out.as_mut_ptr().add(at), ends);
                at += COLUMNS;
            }
            if at < dim {
                columns::<1>(&quads, (rows.add(at), dim), out.as_mut_ptr().add(at), ends);
            }
        }
    }
}

/// Weights in 16 bits, four high and four low bytes together.
struct Quads {
    rows: usize,
    high: [i32; ROWS / 4],
    low: [i32; ROWS / 4],
    /// What the bytes have to be multiplied by.
    scale: f32,
}

impl Quads {
    /// Of at most [`ROWS`] weights that are not below 0.
    ///
    /// # Safety
    /// As for [`weighted_sum_i8`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
    unsafe fn of(weights: &[f32]) -> Self {
        // SAFETY: the CPU has the features, by this function's own condition.
        let top = unsafe { scores::largest::<Avx512>(weights) };
        let mut quads = Self {
            rows: weights.len(),
            high: [0; ROWS / 4],
            low: [0; ROWS / 4],
            scale: top / 65_535.0,
        };
        // All weights may be zero, or so small that nothing is left of them.
        let steps = 65_535.0 / top;
        if !steps.is_finite() {
            quads.scale = 0.0;
            return quads;
        }
        let (highs, _) = quads.high.as_chunks_mut::<4>();
        let (lows, _) = quads.low.as_chunks_mut::<4>();
        for ((weights, high), low) in weights.chunks(16).zip(highs).zip(lows) {
            // SAFETY: only so many weights are read as there are, the others are 0; four
            // quads are as large as what is stored.
            unsafe {
                let weights = _mm512_maskz_loadu_ps(first(weights.len()), weights.as_ptr());
                let rounded = _mm512_mul_ps(weights, _mm512_set1_ps(steps));
                let rounded = _mm512_cvttps_epi32(_mm512_add_ps(rounded, _mm512_set1_ps(0.5)));
                let rounded = _mm512_min_epi32(rounded, _mm512_set1_epi32(65_535));
                let upper = _mm512_cvtepi32_epi8(_mm512_srli_epi32::<8>(rounded));
                _mm_storeu_si128(high.as_mut_ptr().cast(), upper);
                _mm_storeu_si128(low.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(rounded));
            }
        }
        quads
    }
}

/// A mask of the first values of 16.
fn first(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

#[target_feature(enable = "avx512f")]
fn any_below_zero(weights: &[f32]) -> bool {
    weights.chunks(16).any(|weights| {
        // SAFETY: only so many weights are read as there are, the others are 0.
        let weights = unsafe { _mm512_maskz_loadu_ps(first(weights.len()), weights.as_ptr()) };
        _mm512_cmp_ps_mask::<_CMP_LT_OQ>(weights, _mm512_setzero_ps()) != 0
    })
}

/// `C` registers of bytes of columns, at most two.
///
/// # Safety
/// As for [`weighted_sum_i8`]; from `rows` on, there is a row every `dim` values for each
/// weight, and each of them and `out` have 64·C values.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma")]
unsafe fn columns<const C: usize>(
    quads: &Quads,
    (rows, dim): (*const i8, usize),
    out: *mut f32,
    (first, factor): Ends,
) {
    let zero = _mm512_setzero_si512();
    let mut high = [[zero; 4]; C];
    let mut low = [[zero; 4]; C];
    for quad in 0..quads.rows.div_ceil(4) {
        let (above, below) =
            (_mm512_set1_epi32(quads.high[quad]), _mm512_set1_epi32(quads.low[quad]));
        // SAFETY: by this function's own condition: the last row stands in for those that four
        // rows lack, with a weight of 0.
        unsafe {
            let row = |number: usize| rows.add((4 * quad + number).min(quads.rows - 1) * dim);
            let four = [row(0), row(1), row(2), row(3)];
            for c in 0..C {
                let [a, b, c_row, d] = four.map(|row| _mm512_loadu_si512(row.add(64 * c).cast()));
                let (ab, cd) = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c_row, d));
                let (ab_rest, cd_rest) =
                    (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c_row, d));
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
    }
    let scale = _mm512_set1_ps(quads.scale);
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
        for (part, sum) in in_order.into_iter().enumerate() {
            // SAFETY: by this function's own condition.
            unsafe {
                let place = out.add(64 * c + 16 * part);
                let before = if first { _mm512_setzero_ps() } else { _mm512_loadu_ps(place) };
                let sum = _mm512_mul_ps(_mm512_add_ps(before, sum), _mm512_set1_ps(factor));
                _mm512_storeu_ps(place, sum);
            }
        }
    }
}
