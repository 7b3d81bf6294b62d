//! Damaged and made-up files of every format: an error that says what is wrong, or something that
//! works, in time and memory that fit the file's size.
//!
//! Every round has a seed of its own, which the message of a failure names: `FUZZ_SEED=…` begins
//! with it. `FUZZ_SECONDS=…` goes on for that long for each format, see `make fuzz`.

#[path = "../../projection-store/tests/allocator/mod.rs"]
mod allocator;

use std::fs;
use std::io::{Cursor, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use allocator::Observed;
use ndarray::Array2;
use projection_core::npy::{NpyArray, integers_from};
use projection_core::projection::{
    Model, Precision, Projection, TransformerProjection, TransformerShape, TransformerWeights,
};
use projection_core::search::Index;
use projection_core::tensors::{self, NewTensor};
use projection_core::{answer_file::AnswerPrecision, npy};
use projection_embed::Embedder;
use projection_engine::{MultiHeadTraining, Store, interop, train_multi_head};
use projection_store::import::{import_file, read_test_questions};
use rusqlite::Connection;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// Numbers that a file should not hold.
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

/// Values that a vector should not hold, or hardly.
const VALUES: [f32; 8] =
    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 3e38, -2.6e36, 1e-38, 1e19];

/// The longest time for one file, and the most memory that is allocated at once beside a multiple
/// of the file's size: damage that takes more has found something.
const LONGEST: Duration = Duration::from_secs(60);
const LARGEST: usize = 64 << 20;

/// The size of the largest request for memory.
static REQUEST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Observed = Observed(|size| {
    REQUEST.fetch_max(size, Relaxed);
});

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

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

/// Tries out `rounds` files that `make` makes, or as many as there is time for. `try_out` says
/// whether a file was usable; some must be, and some must not.
fn fuzz(
    name: &'static str,
    rounds: u64,
    make: impl Fn(&mut Random) -> Vec<u8>,
    try_out: impl Fn(&[u8], &mut Random) -> bool,
) {
    // One after the other: what follows is of the whole process.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    static CURRENT: AtomicU64 = AtomicU64::new(0);
    CURRENT.store(0, Relaxed);
    let seconds = number_of("FUZZ_SECONDS").map(Duration::from_secs);
    let (start, first) = (Instant::now(), number_of("FUZZ_SEED").unwrap_or(11));
    // A round that never ends would otherwise say nothing.
    let watchdog = std::thread::spawn(move || {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            std::thread::park_timeout(Duration::from_secs(1));
            let current = CURRENT.load(Relaxed);
            if current == u64::MAX {
                return;
            }
            if current != last {
                (last, since) = (current, Instant::now());
            }
            if since.elapsed() > LONGEST {
                eprintln!("{name}: FUZZ_SEED={current} takes more than {LONGEST:?}");
                std::process::abort();
            }
        }
    });
    let (mut opened, mut refused) = (0, 0);
    for seed in first.. {
        if seconds.map_or(seed >= first + rounds, |seconds| start.elapsed() > seconds) {
            break;
        }
        CURRENT.store(seed, Relaxed);
        let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let file = make(&mut random);
        REQUEST.store(0, Relaxed);
        let found = catch_unwind(AssertUnwindSafe(|| try_out(&file, &mut random)));
        let most = LARGEST + 256 * file.len();
        assert!(REQUEST.load(Relaxed) <= most, "{name}: FUZZ_SEED={seed} takes too much memory");
        match found {
            Ok(true) => opened += 1,
            Ok(false) => refused += 1,
            Err(_) => panic!("{name}: FUZZ_SEED={seed}"),
        }
    }
    CURRENT.store(u64::MAX, Relaxed);
    watchdog.thread().unpark();
    watchdog.join().unwrap();
    println!("{name}: {opened} files were usable, {refused} were refused");
    assert!(opened > 0 && refused > 0, "{name}: {opened} were usable, {refused} were refused");
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
        ("residual_routed_adapter", 1, None),
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

/// Where the text before a file's values lies: in a tensor file or an array, after the length of
/// as many bytes.
fn text_of(file: &[u8]) -> Option<(usize, usize, usize)> {
    let (length, start): (usize, usize) = match file {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..] => {
            (usize::from(u16::from_le_bytes([*low, *high])), 10)
        }
        _ => (usize::try_from(u64::from_le_bytes(*file.first_chunk()?)).ok()?, 8),
    };
    let end = start.checked_add(length).filter(|end| *end <= file.len())?;
    std::str::from_utf8(&file[start..end])
        .ok()
        .map(|_| (if start == 8 { 0 } else { 8 }, start, end))
}

/// The file with another text, whose length is right.
fn with_text(file: &[u8], text: &str) -> Vec<u8> {
    let Some((length, start, end)) = text_of(file) else { return text.into() };
    let mut copy = file[..length].to_vec();
    copy.extend(&text.len().to_le_bytes()[..start - length]);
    copy.extend(text.as_bytes());
    copy.extend(&file[end..]);
    copy
}

/// One of several kinds of damage, or a few of them.
fn damaged(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut copy = damaged_once(file, random);
    while random.below(4) == 0 {
        copy = damaged_once(&copy, random);
    }
    copy
}

fn damaged_once(file: &[u8], random: &mut Random) -> Vec<u8> {
    let mut copy = file.to_vec();
    let (text, data) = match text_of(file) {
        Some((_, start, end)) => (std::str::from_utf8(&file[start..end]).unwrap_or(""), end),
        None => (std::str::from_utf8(file).unwrap_or(""), 0),
    };
    let numbers = runs(text, |byte| byte.is_ascii_digit());
    let words = runs(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match random.below(8) {
        0 => copy.truncate(random.below(file.len())),
        kind @ (1 | 2) if !file.is_empty() => {
            let end = if kind == 1 || data == 0 { file.len() } else { data };
            for _ in 0..=random.below(6) {
                copy[random.below(end)] = random.below(256) as u8;
            }
        }
        3 if !numbers.is_empty() => {
            let (start, end) = random.one(&numbers);
            let other = random.one(&HUGE);
            copy = with_text(file, &format!("{}{other}{}", &text[..start], &text[end..]));
        }
        4 if !words.is_empty() => {
            let mut word = || {
                let (start, end) = random.one(&words);
                &text[start..end]
            };
            let (from, to) = (word(), word());
            // Doubling again and again would only make large files.
            if file.len() < 1 << 20 {
                copy = with_text(file, &text.replace(from, to));
            }
        }
        // One value, or many.
        kind @ (5 | 6) if file.len() >= data + 4 => {
            let count = if kind == 5 { 1 } else { 1 + random.below((file.len() - data) / 4) };
            let first = data + 4 * random.below((file.len() - data) / 4);
            let value = random.one(&VALUES).to_le_bytes();
            copy[first..].chunks_exact_mut(4).take(count).for_each(|at| at.copy_from_slice(&value));
        }
        _ => {
            // A part is there twice, or gone.
            let from = random.below(file.len());
            let part = from..(from + random.below(64)).min(file.len());
            match random.below(2) {
                0 => drop(copy.drain(part)),
                _ => drop(copy.splice(from..from, file[part].iter().copied())),
            }
        }
    }
    copy
}

/// A damaged one of some files.
fn of<'a>(seeds: &'a [Vec<u8>]) -> impl Fn(&mut Random) -> Vec<u8> + 'a {
    |random| {
        let seed = random.below(seeds.len());
        damaged(&seeds[seed], random)
    }
}

/// Whether there is no error. One must say what is wrong.
fn sound<T>(result: Result<T, projection_core::Error>) -> bool {
    if let Err(error) = &result {
        assert!(error.to_string().len() > 10, "{error}");
    }
    result.is_ok()
}

/// Projects queries of several lengths, and searches with what comes out.
fn use_model(model: &Model, random: &mut Random) {
    let dim = model.input_dim();
    let factor = random.one(&[1.0f32, 1.0, 4e9, 1e-9, 3e38, 1e-40]);
    let query: Vec<f32> = (0..dim).map(|at| factor * (at as f32 + 0.5).cos()).collect();
    if let Ok((projected, weights)) = model.project(&query) {
        assert!(projected.iter().chain(&weights).all(|value| value.is_finite()));
    }
    let queries = Array2::from_shape_fn((3, dim), |(row, at)| query[(row + at) % dim]);
    if let Ok((projected, weights)) = model.project_batch(queries.view()) {
        assert!(projected.iter().chain(&weights).all(|value| value.is_finite()));
    }
    let _ = model.head_similarities(&query);
    if let Some(residual) = model.as_residual() {
        let _ = residual.neighbours_of(&query);
    }
    if model.output_dim() < 1 << 16 {
        let answers = Array2::from_shape_fn((3, model.output_dim()), |(i, j)| (i + j) as f32 + 0.5);
        let index = Index::from_vectors(&[1, 2, 3], answers.view()).unwrap();
        if let Ok(hits) = index.search(&query, Some(model), usize::MAX) {
            assert!(hits.len() == 3 && hits.iter().all(|hit| hit.score.is_finite()));
        }
    }
}

#[test]
fn models() {
    let mut seeds: Vec<Vec<u8>> = seeds().into_iter().map(|(_, seed)| seed).collect();
    seeds.push(indexed());
    for seed in &seeds {
        use_model(&Model::from_bytes(seed).unwrap(), &mut Random(1));
    }
    fuzz("models", 10_000, of(&seeds), |file, random| {
        // Whatever it is, it holds no answers.
        assert!(Index::from_bytes(file).is_err());
        match Model::from_bytes(file) {
            Ok(model) => use_model(&model, random),
            Err(error) => return sound::<()>(Err(error)),
        }
        true
    });
}

/// A residual model with an index of made-up lists, as no small model has one.
fn indexed() -> Vec<u8> {
    let model = Model::load(root().join("models/residual_all"), 3, None).unwrap();
    let bytes = model.to_bytes().unwrap();
    let (header, data) = parts(&bytes);
    let mut header: Value = serde_json::from_str(&header).unwrap();
    let mut data = data.to_vec();
    let shape = |value: &Value| value["shape"][1].as_u64().unwrap() as usize;
    let (n, dim) =
        (header["questions"]["shape"][0].as_u64().unwrap() as usize, shape(&header["questions"]));
    let mut add = |name: &str, dtype: &str, shape: Value, bytes: Vec<u8>| {
        let start = data.len();
        data.extend(bytes);
        header[name] = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]});
    };
    let singles = |value: f32, n: usize| value.to_le_bytes().repeat(n);
    add("index_code_scales", "F32", json!([n]), singles(1.0 / 127.0, n));
    add("index_centroid_scales", "F32", json!([3]), singles(0.001, 3));
    add("index_radii", "F32", json!([3]), singles(0.2, 3));
    let whole = |values: &mut dyn Iterator<Item = i64>| values.flat_map(i64::to_le_bytes).collect();
    add("index_rows", "I64", json!([n]), whole(&mut (0..n as i64).rev()));
    add("index_offsets", "I64", json!([4]), whole(&mut [0, 1, 1, n as i64].into_iter()));
    let stats = [0.01, 1.0, 0.5, 0.1, 0.1, 0.1f64];
    add("index_stats", "F64", json!([6]), stats.iter().flat_map(|s| s.to_le_bytes()).collect());
    add("index_codes", "I8", json!([n, dim]), (0..n * dim).map(|at| at as u8).collect());
    add("index_centroids", "I8", json!([3, dim]), (0..3 * dim).map(|at| at as u8).collect());
    joined(&header.to_string(), &data)
}

#[test]
fn arrays() {
    let mut seeds = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let rows = Array2::from_shape_fn((3, 4), |(i, j)| i as f64 - j as f64);
    npy::save(&path, rows.view()).unwrap();
    seeds.push(fs::read(&path).unwrap());
    npy::save(&path, rows.mapv(|value| value as f32).row(1)).unwrap();
    seeds.push(fs::read(&path).unwrap());
    npy::save(&path, rows.mapv(|value| value as i64).view()).unwrap();
    seeds.push(fs::read(&path).unwrap());
    fuzz("arrays", 20_000, of(&seeds), |file, _| {
        let integers = sound(integers_from(file, "labels"));
        let array = NpyArray::from_bytes(file, "array");
        if let Ok(array) = &array {
            let (rows, columns) = array.matrix_shape();
            assert_eq!(array.to_f64().len(), rows * columns);
            let _ = (array.to_f32(), array.vector_len());
        }
        sound(array) || integers
    });
}

#[test]
fn answers() {
    let vectors = Array2::from_shape_fn((5, 8), |(i, j)| ((i * 8 + j) as f32).sin());
    let index = Index::from_vectors(&[1, -2, 3, 40, 5], vectors.view()).unwrap();
    let seeds = [AnswerPrecision::F32, AnswerPrecision::Int8]
        .map(|precision| index.to_bytes(Some("m"), precision).unwrap());
    fuzz("answers", 20_000, of(&seeds), |file, _| match Index::from_bytes(file) {
        Ok(index) => {
            let query: Vec<f32> = (0..index.dim()).map(|at| (at as f32).cos()).collect();
            let hits = index.search(&query, None, usize::MAX).unwrap();
            assert!(hits.len() == index.len() && hits.iter().all(|hit| hit.score.is_finite()));
            true
        }
        Err(error) => sound::<()>(Err(error)),
    });
}

#[test]
fn torch_files() {
    let seeds = ["transformer.pt", "float16.pt"].map(|name| {
        let bytes = fs::read(root().join("transformer").join(name)).unwrap();
        let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let entries = (0..zip.len()).map(|number| {
            let mut entry = zip.by_index(number).unwrap();
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            (entry.name().unwrap().into_owned(), data)
        });
        entries.collect::<Vec<_>>()
    });
    let zipped = |entries: &[(String, Vec<u8>)]| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, data) in entries {
            zip.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let make = |random: &mut Random| {
        let mut entries = seeds[random.below(2)].clone();
        if random.below(4) == 0 {
            return damaged(&zipped(&entries), random);
        }
        // Most of what can be wrong is in the pickle.
        let pickle = entries.iter().position(|(name, _)| name.ends_with("data.pkl")).unwrap();
        let number = if random.below(4) == 0 { random.below(entries.len()) } else { pickle };
        entries[number].1 = damaged(&entries[number].1, random);
        zipped(&entries)
    };
    fuzz("torch files", 2_000, make, |file, random| match interop::from_bytes(file, "t.pt") {
        Ok(model) => {
            use_model(&model, random);
            true
        }
        Err(error) => sound::<()>(Err(error)),
    });
}

const QUESTIONS: &str = r#"{"clusters": [
    {"answer_id": "csv", "answer": "Read CSV files.", "questions": ["csv?", "a table?"]},
    {"answer_id": 7, "answer": "Use a JSON parser.", "questions": ["parse json"]},
    {"id": "auth", "answer_source": "auth.md",
     "answers": {"default": "Log in with a token.", "letters": "token login"},
     "queries": {"short": ["login"], "long": ["How do I authenticate?"]}}]}"#;

#[test]
fn question_answer_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qa.json");
    let database = folder.path().join("lda.db");
    let make = |random: &mut Random| damaged(QUESTIONS.as_bytes(), random);
    fuzz("question-answer files", 400, make, |file, _| {
        fs::write(&path, file).unwrap();
        let mut store = Store::open_or_create(&database).unwrap();
        let imported = sound(import_file(&mut store, &path));
        let read = sound(read_test_questions(&path, &Default::default()));
        imported | read
    });
}

/// The files of a small text model.
fn text_model() -> Vec<(&'static str, Vec<u8>)> {
    let vocab = json!({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "##c": 6});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "lowercase": true,
            "handle_chinese_chars": true, "strip_accents": null},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    });
    let config = json!({"model_type": "bert", "hidden_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 7,
        "max_position_embeddings": 16, "type_vocab_size": 2, "layer_norm_eps": 1e-12});
    let modules = json!([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]);
    let pooling = json!({"word_embedding_dimension": 4, "pooling_mode_mean_tokens": true});
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    for (name, rows) in [("word", 7), ("position", 16), ("token_type", 2)] {
        shapes.push((format!("embeddings.{name}_embeddings.weight"), vec![rows, 4]));
    }
    let layer = "encoder.layer.0";
    for (name, outputs, inputs) in [
        ("attention.self.query", 4, 4),
        ("attention.self.key", 4, 4),
        ("attention.self.value", 4, 4),
        ("attention.output.dense", 4, 4),
        ("intermediate.dense", 8, 4),
        ("output.dense", 4, 8),
    ] {
        shapes.push((format!("{layer}.{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("{layer}.{name}.bias"), vec![outputs]));
    }
    let norms = ["attention.output.LayerNorm", "output.LayerNorm"].map(|n| format!("{layer}.{n}"));
    for name in norms.into_iter().chain(["embeddings.LayerNorm".into()]) {
        shapes.extend(["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![4])));
    }
    let values: Vec<f32> = (0..64).map(|at| (at as f32).sin()).collect();
    let all: Vec<NewTensor<'_>> = (shapes.iter())
        .map(|(name, shape)| NewTensor::new(name.clone(), shape, &values[..shape.iter().product()]))
        .collect();
    let mut weights = Vec::new();
    tensors::write(&mut weights, &all, &std::collections::BTreeMap::new()).unwrap();
    vec![
        ("config.json", config.to_string().into()),
        ("modules.json", modules.to_string().into()),
        ("1_Pooling/config.json", pooling.to_string().into()),
        ("sentence_bert_config.json", b"{\"max_seq_length\": 12}".to_vec()),
        ("tokenizer_config.json", b"{\"model_max_length\": 12}".to_vec()),
        ("tokenizer.json", tokenizer.to_string().into()),
        ("model.safetensors", weights),
    ]
}

#[test]
fn text_models() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    let files = text_model();
    for (name, bytes) in &files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    Embedder::load(folder.path()).unwrap().embed("a bc d").unwrap();
    // The first byte says which file it is.
    let make = |random: &mut Random| {
        let number = random.below(files.len());
        let mut file = vec![number as u8];
        file.extend(damaged(&files[number].1, random));
        file
    };
    fuzz("text models", 500, make, |file, _| {
        let (name, whole) = &files[usize::from(file[0])];
        fs::write(folder.path().join(name), &file[1..]).unwrap();
        let embedded = Embedder::load(folder.path()).and_then(|embedder| {
            let texts = ["", "a bc d", &"a b\u{0} \u{301}\u{1f600} ".repeat(50)];
            embedder.embed_batch(&texts)
        });
        fs::write(folder.path().join(name), whole).unwrap();
        if let Ok(vectors) = &embedded {
            assert!(vectors.iter().all(|value| value.is_finite()));
        }
        sound(embedded)
    });
}

/// Values that a column should not hold.
const COLUMN: [&str; 12] = [
    "NULL",
    "-1",
    "0",
    "9223372036854775807",
    "1e308",
    "''",
    "'multi_head'",
    "x'ff00fe'",
    "CAST(x'ff41' AS TEXT)",
    "zeroblob(100000)",
    "'../../../../dev/zero'",
    "'{\"kind\": \"residual\", \"neighbours\": 18446744073709551615}'",
];

#[test]
fn databases() {
    let folder = tempfile::tempdir().unwrap();
    let (path, questions) = (folder.path().join("lda.db"), folder.path().join("qa.json"));
    fs::write(&questions, QUESTIONS).unwrap();
    let mut store = Store::open_or_create(&path).unwrap();
    import_file(&mut store, &questions).unwrap();
    let model = store.register_embedding_model("letters", 4, "test", None).unwrap();
    let missing = store.texts_without_vector("letters", false).unwrap();
    let vectors = Array2::from_shape_fn((missing.len(), 4), |(i, j)| ((4 * i + j) as f32).sin());
    store.add_embeddings(&model, &missing, vectors.view()).unwrap();
    train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    let connection = Connection::open(&path).unwrap();
    let columns = "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                   WHERE m.type = 'table'";
    let columns: Vec<(String, String)> = (connection.prepare(columns).unwrap())
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    drop(connection);
    // Bytes are changed, or values.
    let make = |random: &mut Random| match random.below(3) {
        0 => damaged(&whole, random),
        _ => {
            fs::write(&path, &whole).unwrap();
            let connection = Connection::open(&path).unwrap();
            connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
            for _ in 0..=random.below(3) {
                let (table, column) = &columns[random.below(columns.len())];
                let (value, every) = (random.one(&COLUMN), 1 + random.below(3));
                // What a constraint refuses stays.
                let _ = connection.execute(
                    &format!("UPDATE {table} SET {column} = {value} WHERE rowid % {every} = 0"),
                    [],
                );
            }
            drop(connection);
            fs::read(&path).unwrap()
        }
    };
    let again = QUESTIONS.replace("csv", "table");
    let arrays = fs::read_dir(folder.path().join("embeddings/letters")).unwrap();
    let arrays: Vec<(PathBuf, Vec<u8>)> = (arrays.map(|entry| entry.unwrap().path()))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    fuzz("databases", 200, make, |file, random| {
        fs::write(&path, file).unwrap();
        for (array, bytes) in arrays.iter().filter(|(array, _)| !array.exists()) {
            fs::write(array, bytes).unwrap();
        }
        for name in ["lda.db-journal", "lda.db-wal"] {
            let _ = fs::remove_file(folder.path().join(name));
        }
        let Ok(store) = Store::open_read_only(&path) else { return false };
        let mut all_sound = sound(store.files()) & sound(store.clusters());
        all_sound &= sound(store.answer_texts()) & sound(store.query_log(10));
        all_sound &= sound(store.batches()) & sound(store.sources());
        for model in store.embedding_models().unwrap_or_default() {
            all_sound &= sound(store.embedded_clusters(&model));
            all_sound &= sound(store.clustered_questions(&model));
            let _ = sound(store.answer_vectors(&model, &[1, i64::MAX]));
        }
        for stored in store.models().unwrap_or_default() {
            match store.open_model(&stored) {
                Ok(model) => use_model(&model, random),
                Err(error) => all_sound &= sound::<()>(Err(error)),
            }
            let _ = (stored.parameters(), stored.search_defaults(), stored.description());
        }
        if let Ok(searcher) = store.searcher(None) {
            let hits = searcher.vector_search(&[1.0, 0.5, 0.0, -1.0], usize::MAX);
            all_sound &= sound(hits);
        }
        drop(store);
        let Ok(mut store) = Store::open(&path) else { return false };
        let name = if random.below(2) == 0 { "qa.json" } else { "other.json" };
        fs::write(folder.path().join(name), &again).unwrap();
        all_sound &= sound(import_file(&mut store, folder.path().join(name)));
        let _ = store.choose(None);
        all_sound
    });
}

#[test]
fn finite_numbers_whose_sums_overflow_are_refused() {
    let heads = Model::load(root().join("models/top_3"), 1, None).unwrap();
    let int8 = heads.with_precision(Precision::Int8).unwrap().to_bytes().unwrap();
    let bf16 = heads.with_precision(Precision::Bf16).unwrap().to_bytes().unwrap();
    let heads = heads.to_bytes().unwrap();
    let residual = Model::load(root().join("models/residual_all"), 3, None).unwrap();
    let residual = residual.to_bytes().unwrap();
    let large = 3e38f32.to_le_bytes();
    for (file, tensor, value, words) in [
        (&int8, "centroid_scales", &1f32.to_le_bytes()[..], "'centroids': the scale"),
        (&int8, "answer_scales", &2.6e36f32.to_le_bytes(), "'answers' or its scales"),
        (&bf16, "answers", &large[2..], "'answers' or its scales"),
        (&heads, "answers", &large, "of row 0, expected at most 1e30"),
        (&residual, "answers", &large, "'answers': a vector of length"),
    ] {
        let (header, data) = parts(file);
        let place: Value = serde_json::from_str(&header).unwrap();
        let start = place[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
        let mut data = data.to_vec();
        data[start..start + value.len()].copy_from_slice(value);
        let error = Model::from_bytes(&joined(&header, &data)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let (header, data) = parts(&residual);
    for (key, number, words) in [("gain", "1e200", "gain 1"), ("gain", "-1e13", "gain -1")] {
        let before = header.find(&format!("\\\"{key}\\\":")).unwrap() + key.len() + 5;
        let after = before + header[before..].find([',', '}']).unwrap();
        let header = format!("{}{number}{}", &header[..before], &header[after..]);
        let error = Model::from_bytes(&joined(&header, data)).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("at most 1e12"), "{error}");
    }
}

#[test]
fn more_neighbours_than_fit_into_a_number_are_all_of_them() {
    let Model::Residual(model) = Model::load(root().join("models/residual_all"), 3, None).unwrap()
    else {
        panic!("another kind")
    };
    let query: Vec<f32> = (0..model.input_dim()).map(|at| (at as f32).cos()).collect();
    let queries = ndarray::Array2::from_shape_fn((2, query.len()), |(_, at)| query[at]);
    let results = [usize::MAX, usize::MAX - 1, 1 << 40].map(|neighbours| {
        let model = model.with_neighbours(neighbours).unwrap();
        let (one, weights) = model.project(&query).unwrap();
        let (all, all_weights) = model.project_batch(queries.view()).unwrap();
        for (one, all) in [(&one, all), (&weights, all_weights)] {
            let row = all.row(1);
            assert!(one.iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-6), "{one:?} {row}");
        }
        (one, weights)
    });
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    assert!((results[0].1.iter().sum::<f32>() - 1.0).abs() < 1e-5);
}
