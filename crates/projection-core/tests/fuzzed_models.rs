//! Damaged and made-up model files of every kind, as bytes: an error that says what is wrong,
//! or a model that works. Seeded, so that what fails once fails again.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use projection_core::projection::{
    Model, Precision, Projection, TransformerProjection, TransformerShape, TransformerWeights,
};
use projection_core::search::Index;
use serde_json::Value;

const ROUNDS: usize = 3000;

/// Numbers that a header should not hold.
const HUGE: [&str; 12] = [
    "0",
    "1",
    "-1",
    "3",
    "255",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "1e308",
    "null",
    "[]",
    "\"\"",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

fn transformer() -> TransformerProjection {
    let shape =
        TransformerShape { embed_dim: 4, num_heads: 2, num_layers: 1, ff_dim: 8, dropout: 0.0 };
    let sizes = |name: &str| match name.trim_start_matches("encoder.layers.0.") {
        "input_proj.weight" => vec![4, 5],
        "self_attn.in_proj_weight" => vec![12, 4],
        "self_attn.in_proj_bias" => vec![12],
        "self_attn.out_proj.weight" => vec![4, 4],
        "linear1.weight" => vec![8, 4],
        "linear1.bias" => vec![8],
        "linear2.weight" => vec![4, 8],
        "output_proj.weight" => vec![5, 4],
        "output_proj.bias" => vec![5],
        _ => vec![4],
    };
    let weights = TransformerWeights::read(&shape, |name| {
        let shape = sizes(name);
        let values = (0..shape.iter().product()).map(|at: usize| (at as f32).sin()).collect();
        Ok((shape, values))
    });
    TransformerProjection::new(weights.unwrap()).unwrap()
}

/// A small model of every kind and precision, as the bytes of its file.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let models = [
        ("d8_mixed", 1, Some(0.1)),
        ("top_3", 1, None),
        ("residual_all", 3, None),
        ("residual_adapter", 1, None),
        ("residual_lift", 1, None),
        ("linear_d8_to_d3", 1, None),
    ];
    let mut seeds: Vec<_> = models
        .into_iter()
        .map(|(name, id, temperature): (_, _, Option<f64>)| {
            let model = Model::load(root().join("models").join(name), id, temperature).unwrap();
            (name, model.to_bytes().unwrap())
        })
        .collect();
    seeds.push(("transformer", transformer().to_bytes(&Value::Null)));
    let heads = Model::load(root().join("models/top_3"), 1, None).unwrap();
    for (name, precision) in [("bf16", Precision::Bf16), ("int8", Precision::Int8)] {
        let compact = heads.with_precision(precision).unwrap();
        seeds.push((name, compact.to_bytes().unwrap()));
    }
    seeds
}

/// The header's text and the values after it.
fn parts(file: &[u8]) -> (String, &[u8]) {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    (String::from_utf8(file[8..8 + length].to_vec()).unwrap(), &file[8 + length..])
}

fn joined(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// The places of runs of signs of a kind.
fn runs(text: &str, inside: impl Fn(u8) -> bool) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut runs = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| inside(**byte)).count();
        if length > 0 {
            runs.push((at, at + length));
        }
        at += length.max(1);
    }
    runs
}

/// One of several kinds of damage.
fn damaged(file: &[u8], random: &mut Random) -> Vec<u8> {
    let (header, data) = parts(file);
    let mut copy = file.to_vec();
    match random.below(7) {
        0 => copy.truncate(random.below(file.len())),
        kind @ (1 | 2) => {
            let end = if kind == 1 { file.len() } else { 8 + header.len() };
            for _ in 0..=random.below(6) {
                copy[random.below(end)] = random.below(256) as u8;
            }
        }
        3 => {
            let numbers = runs(&header, |byte| byte.is_ascii_digit());
            let (start, end) = numbers[random.below(numbers.len())];
            let other = HUGE[random.below(HUGE.len())];
            copy = joined(&format!("{}{other}{}", &header[..start], &header[end..]), data);
        }
        4 => {
            let words = runs(&header, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let mut word = || {
                let (start, end) = words[random.below(words.len())];
                &header[start..end]
            };
            let (from, to) = (word(), word());
            copy = joined(&header.replace(from, to), data);
        }
        5 => {
            let at = 8 + header.len() + 4 * random.below(data.len() / 4);
            let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 3e38];
            copy[at..at + 4].copy_from_slice(&values[random.below(5)].to_le_bytes());
        }
        _ => copy = joined(&(header + "   "), &data[random.below(data.len())..]),
    }
    copy
}

/// Opens and uses what may be a model. Gives whether it was one.
fn try_out(file: &[u8]) -> bool {
    let refused = |error: projection_core::Error| {
        assert!(error.to_string().len() > 10, "{error}");
        false
    };
    // Whatever it is, it holds no answers.
    assert!(Index::from_bytes(file).is_err());
    let model = match Model::from_bytes(file) {
        Ok(model) => model,
        Err(error) => return refused(error),
    };
    let query: Vec<f32> = (0..model.input_dim()).map(|at| (at as f32).cos()).collect();
    if let Ok((projected, _)) = model.project(&query) {
        assert!(projected.iter().all(|value| value.is_finite()));
    }
    let _ = model.head_similarities(&query);
    true
}

#[test]
fn damaged_models_are_refused_or_work() {
    let mut random = Random(11);
    let (mut opened, mut refused) = (0, 0);
    for (name, seed) in seeds() {
        assert!(try_out(&seed), "{name}");
        for round in 0..ROUNDS {
            let file = damaged(&seed, &mut random);
            match catch_unwind(|| try_out(&file)) {
                Ok(true) => opened += 1,
                Ok(false) => refused += 1,
                Err(_) => panic!("{name} round {round}"),
            }
        }
    }
    assert!(opened > 100 && refused > 1000, "{opened} opened, {refused} refused");
}
