//! Rows in half or a quarter of the memory against double precision.

use super::super::narrow::{ByteQuery, ByteRows};
use super::*;

#[test]
fn every_compilation_multiplies_compact_vectors_as_double_precision() {
    for (name, kernels) in available() {
        for (dim, count) in [(64, 1), (64, 5), (128, 9), (384, 18), (448, 300), (832, 7)] {
            let (query, mut weights) = (values(dim, 1), values(count, 2));
            weights[0] = -weights[0].abs();
            let halves: Vec<u16> = values(dim * count, 3)
                .iter()
                .map(|value| half::bf16::from_f32(*value).to_bits())
                .collect();
            let rows: Vec<f32> =
                halves.iter().map(|half| half::bf16::from_bits(*half).to_f32()).collect();
            let mut room = vec![std::mem::MaybeUninit::new(f32::NAN); dim];
            (kernels.apart)(&query, &mut room);
            // SAFETY: they had values from the beginning.
            let apart: Vec<f32> = room.iter().map(|value| unsafe { value.assume_init() }).collect();
            let check = |dots: &[f32], rows: &[f32], bound: f64| {
                for (row, dot) in rows.chunks(dim).zip(dots) {
                    let error = exact_dot(row, &query) - f64::from(*dot);
                    let bound = bound * norm(row) * norm(&query);
                    assert!(error.abs() <= bound, "{name}: {dim} × {count}: {error}");
                }
            };
            let check_sum = |sum: &[f32], rows: &[f32]| {
                for (exact, sum) in exact_weighted_sum(&weights, rows, dim).iter().zip(sum) {
                    let error = 0.5 * (exact + 1.0) - f64::from(*sum);
                    assert!(error.abs() < 2e-6 * (count as f64).sqrt(), "{name}: {error}");
                }
            };
            for reading in [PrefetchHint::Cached, PrefetchHint::Ahead] {
                let mut dots = vec![7.0; count];
                (kernels.dots_bf16)(reading, &apart, &halves, &mut dots);
                check(&dots, &rows, 3e-7);
            }
            let mut sum = vec![1.0; dim];
            (kernels.weighted_sum_bf16)(&weights, &halves, (false, 0.5), &mut sum);
            check_sum(&sum, &rows);

            let bytes: Vec<i8> = values(dim * count, 4).iter().map(|v| (v * 127.0) as i8).collect();
            let rows: Vec<f32> = bytes.iter().copied().map(f32::from).collect();
            let sums: Vec<i32> =
                bytes.chunks(dim).map(|row| row.iter().copied().map(i32::from).sum()).collect();
            let (mut high, mut low) = (vec![0; dim], vec![0; dim]);
            let top = query.iter().fold(0.0f32, |top, value| top.max(value.abs()));
            (kernels.to_bytes)(&query, 32_512.0 / top, &mut high, &mut low);
            let query_bytes = ByteQuery { high: &high, low: &low, scale: top / 32_512.0 };
            let scales = vec![1.0; count];
            for next in [0, 1, bytes.len()] {
                let next = &bytes[..next];
                let byte_rows = ByteRows { bytes: &bytes, scales: &scales, sums: &sums, next };
                let mut dots = vec![7.0; count];
                (kernels.dots_i8)(query_bytes, byte_rows, &mut dots);
                // The query is rounded to 16 bits.
                check(&dots, &rows, 5e-5);
            }
            let mut sum = vec![1.0; dim];
            let unit: Vec<f32> = weights.iter().map(|weight| weight / 127.0).collect();
            (kernels.weighted_sum_i8)(&unit, &bytes, (false, 0.5), &mut sum);
            let rows: Vec<f32> = rows.iter().map(|value| value / 127.0).collect();
            check_sum(&sum, &rows);
            // Without a sign, weights may be rounded to 16 bits; some are nothing then.
            let weights: Vec<f32> =
                weights.iter().enumerate().map(|(k, w)| w.abs() / [1.0, 1e9][k % 2]).collect();
            let unit: Vec<f32> = weights.iter().map(|weight| weight / 127.0).collect();
            (kernels.weighted_sum_i8)(&unit, &bytes, (true, 1.0), &mut sum);
            for (exact, sum) in exact_weighted_sum(&weights, &rows, dim).iter().zip(&sum) {
                let error = (exact - f64::from(*sum)).abs();
                assert!(error < 1e-5 * (count as f64).sqrt(), "{name}: {error}");
            }
            let none = bytes[..dim.min(bytes.len())].repeat(4);
            (kernels.weighted_sum_i8)(&[0.0; 4], &none, (true, 1.0), &mut sum);
            assert!(sum.iter().all(|value| *value == 0.0), "{name}");
        }
    }
}

#[test]
fn compact_rows_are_the_rows_up_to_their_rounding() {
    for dim in [1, 20, 64, 100, 384, 1500] {
        for count in [1, 5, 300] {
            let (query, rows, weights) = (values(dim, 1), values(dim * count, 2), values(count, 3));
            let mut rows = rows;
            rows[..dim].fill(0.0);
            for (format, bound) in [(RowFormat::Bf16, 1.0 / 256.0), (RowFormat::Int8, 0.5 / 127.0)]
            {
                let compact = QuantizedRows::new(format, dim, &rows);
                assert_eq!((compact.count(), compact.format()), (count, format));
                let mut decoded = vec![7.0; dim * count];
                for (number, row) in decoded.chunks_mut(dim).enumerate() {
                    compact.decode(number, row);
                }
                for (row, decoded) in rows.chunks(dim).zip(decoded.chunks(dim)) {
                    let top = row.iter().fold(0.0f32, |top, value| top.max(value.abs()));
                    for (value, decoded) in row.iter().zip(decoded) {
                        assert!((value - decoded).abs() <= 1.001 * bound * top, "{format:?}");
                    }
                }
                let first = count / 3;
                let mut dots = vec![7.0; count - first];
                compact.dots(&query, first, &mut dots);
                for (row, dot) in decoded.chunks(dim).skip(first).zip(dots) {
                    let error = exact_dot(row, &query) - f64::from(dot);
                    assert!(error.abs() <= 1e-4 * norm(row) * norm(&query), "{format:?}: {error}");
                }
                if format == RowFormat::Int8 {
                    // Whatever is to be read next, a range has the products of its rows.
                    let ready = compact.ready(&query);
                    let mut all = vec![7.0; count];
                    compact.dots(&query, 0, &mut all);
                    for range in [0..0, 0..count, first..count, 0..first + 1, count..count] {
                        for next in [0, first, count, usize::MAX >> 20] {
                            let mut dots = vec![7.0; range.len()];
                            compact.dots_ready(&ready, range.clone(), next, &mut dots);
                            assert_eq!(dots, all[range.clone()], "{dim}: {range:?}, then {next}");
                        }
                    }
                }
                let mut sum = vec![1.0; dim];
                compact.weighted_sum(&weights[first..], first, (false, 0.5), &mut sum);
                let rows = &decoded[first * dim..];
                for (exact, sum) in exact_weighted_sum(&weights[first..], rows, dim).iter().zip(sum)
                {
                    assert!((0.5 * (exact + 1.0) - f64::from(sum)).abs() < 1e-4, "{format:?}");
                }
            }
        }
    }
}
