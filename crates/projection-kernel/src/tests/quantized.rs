//! Quantized rows against double precision.

use super::*;
use crate::quantized::bf16;
use crate::quantized::int8::{self, Int8Query, Int8Rows};

#[test]
fn kernels_of_bf16() {
    for (name, level) in Level::available() {
        for (dim, count) in [(64, 1), (64, 5), (128, 9), (384, 18), (448, 300), (832, 7)] {
            let what = format!("{name}: {count} × {dim}");
            let (query, weights) = (values(dim, 1), values(count, 2));
            let halves: Vec<u16> = values(dim * count, 3)
                .iter()
                .map(|value| half::bf16::from_f32(*value).to_bits())
                .collect();
            let rows: Vec<f32> =
                halves.iter().map(|half| half::bf16::from_bits(*half).to_f32()).collect();
            let mut deinterleaved = vec![7.0; dim];
            bf16::on::deinterleave(level, &query, &mut deinterleaved);
            for hint in HINTS {
                let mut dots = vec![7.0; count];
                bf16::on::dots(level, hint, &deinterleaved, &halves, &mut dots);
                check_dots(&what, &query, &rows, &dots, 3e-7);
            }
            let exact = exact_weighted_sum(&weights, &rows, dim);
            let mut sum = vec![1.0; dim];
            for (overwrite, before) in [(false, 1.0), (true, 0.0)] {
                bf16::on::weighted_sum(level, &weights, &halves, overwrite, 0.5, &mut sum);
                check_sums(&what, &exact, (0.5, before), &sum, 2e-6 * (count as f64).sqrt());
            }
        }
    }
}

#[test]
fn kernels_of_int8() {
    for (name, level) in Level::available() {
        for (dim, count) in [(64, 1), (64, 5), (128, 9), (384, 18), (448, 300), (832, 7)] {
            let what = format!("{name}: {count} × {dim}");
            let (query, mut weights) = (values(dim - 3, 1), values(count, 2));
            let padded = [&query[..], &[0.0; 3]].concat();
            let bytes: Vec<i8> = values(dim * count, 4).iter().map(|v| (v * 127.0) as i8).collect();
            let rows: Vec<f32> = bytes.iter().copied().map(f32::from).collect();
            let sums: Vec<i32> =
                bytes.chunks(dim).map(|row| row.iter().copied().map(i32::from).sum()).collect();
            let (mut high, mut low) = (vec![0; dim], vec![0; dim]);
            let scale = int8::on::quantize(level, &query, &mut high, &mut low);
            let query = Int8Query { high: &high, low: &low, scale };
            let scales = vec![1.0; count];
            for next in [0, 1, bytes.len()] {
                let next = &bytes[..next];
                let rows_of_bytes = Int8Rows { bytes: &bytes, scales: &scales, sums: &sums, next };
                let mut dots = vec![7.0; count];
                int8::on::dots_int8(level, query, rows_of_bytes, &mut dots);
                // The query is rounded to 16 bits.
                check_dots(&what, &padded, &rows, &dots, 5e-5);
            }
            weights[0] = -weights[0].abs();
            // Weights that are not negative may be rounded to 16 bits; some vanish.
            let rounded: Vec<f32> =
                weights.iter().enumerate().map(|(k, w)| w.abs() / [1.0, 1e9][k % 2]).collect();
            for (weights, overwrite) in [(weights, false), (rounded, true)] {
                let exact = exact_weighted_sum(&weights, &rows, dim);
                let mut sum = vec![1.0; dim];
                int8::on::weighted_sum_int8(level, &weights, &bytes, overwrite, &mut sum);
                let before = if overwrite { 0.0 } else { 1.0 };
                let bound = 1.3e-3 * (count as f64).sqrt();
                check_sums(&what, &exact, (1.0, before), &sum, bound);
            }
            let mut sum = vec![1.0; dim];
            let none = bytes[..dim].repeat(4);
            int8::on::weighted_sum_int8(level, &[0.0; 4], &none, true, &mut sum);
            assert!(sum.iter().all(|value| *value == 0.0), "{what}");
        }
    }
}

#[test]
fn quantized_rows_are_the_rows_up_to_their_rounding() {
    for dim in [1, 20, 64, 100, 384, 1500] {
        for count in [1, 5, 300] {
            let (query, mut rows) = (values(dim, 1), values(dim * count, 2));
            let weights = values(count, 3);
            rows[..dim].fill(0.0);
            for (format, bound) in [(RowFormat::Bf16, 1.0 / 256.0), (RowFormat::Int8, 0.5 / 127.0)]
            {
                let what = format!("{count} × {dim} in {format:?}");
                let quantized = QuantizedRows::new(format, dim, &rows);
                assert_eq!((quantized.count(), quantized.format()), (count, format));
                let mut decoded = vec![7.0; dim * count];
                for (number, row) in decoded.chunks_mut(dim).enumerate() {
                    quantized.decode(number, row);
                }
                for (row, decoded) in rows.chunks(dim).zip(decoded.chunks(dim)) {
                    let top = row.iter().fold(0.0f32, |top, value| top.max(value.abs()));
                    for (value, decoded) in row.iter().zip(decoded) {
                        assert!((value - decoded).abs() <= 1.001 * bound * top, "{what}");
                    }
                }
                let first = count / 3;
                let mut dots = vec![7.0; count - first];
                quantized.dots(&query, first, &mut dots);
                check_dots(&what, &query, &decoded[first * dim..], &dots, 1e-4);
                if format == RowFormat::Int8 {
                    // Whatever is to be read next, a range has the products of its rows.
                    let prepared = quantized.quantize(&query);
                    let mut all = vec![7.0; count];
                    quantized.dots(&query, 0, &mut all);
                    for range in [0..0, 0..count, first..count, 0..first + 1, count..count] {
                        for next in [0, first, count, usize::MAX >> 20] {
                            let mut dots = vec![7.0; range.len()];
                            quantized.dots_quantized(&prepared, range.clone(), next, &mut dots);
                            assert_eq!(dots, all[range.clone()], "{what}: {range:?}, then {next}");
                        }
                    }
                }
                let exact = exact_weighted_sum(&weights[first..], &decoded[first * dim..], dim);
                let mut sum = vec![1.0; dim];
                quantized.weighted_sum(&weights[first..], first, false, 0.5, &mut sum);
                check_sums(&what, &exact, (0.5, 1.0), &sum, 1e-4);
            }
        }
    }
}
