//! Damaged, foreign and hostile model folders: an error that names the file, never a panic.

mod common;

use std::fs;
use std::path::Path;

use common::model_dir;
use half::{bf16, f16};
use projection_embed::Embedder;
use projection_embed::ErrorKind::{self, InvalidEmbedder, NotFound};
use serde_json::{Value, json};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";
const POOLING: &str = "1_Pooling/config.json";

/// A copy of the real model, to be damaged.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("1_Pooling")).unwrap();
        let small = ["config.json", "modules.json", "sentence_bert_config.json", POOLING];
        for name in small.iter().chain(&["tokenizer.json", "tokenizer_config.json"]) {
            fs::copy(model_dir().join(name), dir.path().join(name)).unwrap();
        }
        // The weights are large. `write` never writes through the link.
        let weights = model_dir().join(WEIGHTS);
        if fs::hard_link(&weights, dir.path().join(WEIGHTS)).is_err() {
            fs::copy(&weights, dir.path().join(WEIGHTS)).unwrap();
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remove(self, name: &str) -> Self {
        fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    fn write(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let copy = self.remove(name);
        fs::write(copy.path().join(name), bytes).unwrap();
        copy
    }

    /// Changes a JSON file.
    fn edit(self, name: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut value = serde_json::from_slice(&fs::read(self.path().join(name)).unwrap()).unwrap();
        change(&mut value);
        self.write(name, value.to_string())
    }

    /// Replaces the weights by a file of this header and `data` bytes of zeros.
    fn weights(self, header: &Value, data: usize) -> Self {
        let header = header.to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        self.write(WEIGHTS, bytes)
    }

    /// Loading fails with `kind` and a message that holds all of `words`.
    #[track_caller]
    fn fails(&self, kind: ErrorKind, words: &[&str]) {
        let error = Embedder::load(self.path()).expect_err("loads");
        let message = error.to_string();
        assert_eq!(error.kind(), kind, "{message}");
        for word in words {
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
    }
}

/// A file's name as the system writes it.
fn native(name: &str) -> String {
    name.split('/').collect::<std::path::PathBuf>().display().to_string()
}

#[test]
fn an_undamaged_copy_loads() {
    let embedder = Embedder::load(Copy::new().path()).unwrap();
    assert_eq!((embedder.dim(), embedder.max_tokens()), (384, 256));
    assert!(format!("{embedder:?}").contains("384"));
}

#[test]
fn no_folder() {
    let error = Embedder::load("no/such/model").unwrap_err();
    assert_eq!(error.kind(), NotFound);
    assert!(error.to_string().contains("no/such/model"));
    let error = Embedder::load(model_dir().join("config.json")).unwrap_err();
    assert_eq!(error.kind(), NotFound);
}

#[test]
fn missing_files() {
    for name in ["modules.json", "config.json", POOLING, "tokenizer.json", WEIGHTS] {
        Copy::new().remove(name).fails(NotFound, &[&native(name)]);
    }
}

#[test]
fn files_that_a_model_may_lack() {
    let copy = Copy::new().remove("sentence_bert_config.json");
    assert_eq!(Embedder::load(copy.path()).unwrap().max_tokens(), 512);
    let copy = copy.edit("tokenizer_config.json", |c| c["model_max_length"] = json!(100));
    assert_eq!(Embedder::load(copy.path()).unwrap().max_tokens(), 100);
    let copy = copy.edit("tokenizer_config.json", |c| c["model_max_length"] = json!(1e30));
    assert_eq!(Embedder::load(copy.path()).unwrap().max_tokens(), 512);
    let copy = copy.remove("tokenizer_config.json");
    assert_eq!(Embedder::load(copy.path()).unwrap().max_tokens(), 512);
}

#[test]
fn truncated_and_foreign_json() {
    let names = ["modules.json", "config.json", POOLING, "tokenizer.json"];
    for name in names.into_iter().chain(["sentence_bert_config.json"]) {
        let whole = fs::read(model_dir().join(name)).unwrap();
        let half = &whole[..whole.len() / 2];
        let nested = "[".repeat(100_000);
        for bytes in [&[][..], half, b"null", b"[1]", b"\xff\xfe", nested.as_bytes()] {
            let copy = Copy::new().write(name, bytes);
            // "null" stands for an absent configuration nowhere.
            copy.fails(InvalidEmbedder, &[&native(name)]);
        }
    }
}

#[test]
fn networks_of_another_kind() {
    let cases = [
        ("model_type", json!("roberta"), ["\"bert\"", "\"roberta\""]),
        ("model_type", json!(null), ["\"bert\"", "none"]),
        ("hidden_act", json!("relu"), ["\"gelu\"", "\"relu\""]),
        ("position_embedding_type", json!("relative_key"), ["\"absolute\"", "\"relative_key\""]),
        ("is_decoder", json!(true), ["false", "true"]),
    ];
    for (key, value, words) in cases {
        let copy = Copy::new().edit("config.json", |c| c[key] = value);
        copy.fails(InvalidEmbedder, &["config.json", key, words[0], words[1]]);
    }
}

#[test]
fn sizes_that_do_not_fit_the_weights() {
    let cases = [
        ("hidden_size", json!(768), "768"),
        ("hidden_size", json!(385), "multiple of num_attention_heads"),
        ("hidden_size", json!(0), "found 0"),
        ("hidden_size", json!(-1), "-1"),
        ("hidden_size", json!(u64::MAX / 12 * 12), "config.json"),
        ("hidden_size", json!(1e40), "floating point"),
        ("num_hidden_layers", json!(7), "encoder.layer.6.attention.self.query.weight"),
        ("num_hidden_layers", json!(u64::MAX), "encoder.layer.6.attention.self.query.weight"),
        ("num_attention_heads", json!(0), "found 0"),
        ("intermediate_size", json!(1_u64 << 62), "[1536, 384]"),
        ("vocab_size", json!(1_u64 << 62), "word_embeddings"),
        ("vocab_size", json!(30_521), "30521"),
        ("max_position_embeddings", json!(u64::MAX), "position_embeddings"),
        ("type_vocab_size", json!(3), "[3, 384]"),
        ("layer_norm_eps", json!(-1), "layer_norm_eps"),
        ("layer_norm_eps", json!("small"), "small"),
    ];
    for (key, value, words) in cases {
        let copy = Copy::new()
            .edit("config.json", |c| c[key] = value)
            // Otherwise the pooling configuration objects first.
            .edit(POOLING, |c| drop(c.as_object_mut().unwrap().remove("word_embedding_dimension")));
        copy.fails(InvalidEmbedder, &[words]);
    }
}

#[test]
fn poolings_of_another_kind() {
    let copy = Copy::new().edit(POOLING, |c| c["pooling_mode_cls_token"] = json!(true));
    copy.fails(InvalidEmbedder, &[&native(POOLING), "mean", "pooling_mode_cls_token"]);
    let copy = Copy::new().edit(POOLING, |c| c["pooling_mode_mean_tokens"] = json!(false));
    copy.fails(InvalidEmbedder, &["mean", "[]"]);
    let copy = Copy::new().edit(POOLING, |c| c["pooling_mode_lasttoken"] = json!(true));
    copy.fails(InvalidEmbedder, &["pooling_mode_lasttoken"]);
    let copy = Copy::new().edit(POOLING, |c| c["word_embedding_dimension"] = json!(768));
    copy.fails(InvalidEmbedder, &["384", "768"]);
    for (mode, words) in [(json!("sum"), "\"sum\""), (json!(["mean", "max"]), "max")] {
        let copy = Copy::new().write(POOLING, json!({ "pooling_mode": mode }).to_string());
        copy.fails(InvalidEmbedder, &[&native(POOLING), "pooling_mode", "\"mean\"", words]);
    }
}

#[test]
fn poolings_by_name_and_by_flag() {
    let plain = Embedder::load(model_dir()).unwrap();
    let mut vectors = vec![plain.embed("a text").unwrap()];
    for (name, flag) in [
        ("cls", "pooling_mode_cls_token"),
        ("lasttoken", "pooling_mode_lasttoken"),
        ("max", "pooling_mode_max_tokens"),
        ("weightedmean", "pooling_mode_weightedmean_tokens"),
    ] {
        let new = Copy::new().write(POOLING, json!({ "pooling_mode": name }).to_string());
        let new = Embedder::load(new.path()).unwrap();
        let old = Copy::new().edit(POOLING, |c| {
            c["pooling_mode_mean_tokens"] = json!(false);
            c[flag] = json!(true);
        });
        let old = Embedder::load(old.path()).unwrap();
        assert_eq!(new.fingerprint(), old.fingerprint());
        let difference = new.fingerprint().difference(plain.fingerprint()).unwrap();
        assert_eq!(difference, format!("pooling \"{name}\", expected \"mean\""));
        let vector = new.embed("a text").unwrap();
        assert_eq!(vector, old.embed("a text").unwrap());
        assert!(!vectors.contains(&vector), "{name}");
        vectors.push(vector);
    }
}

#[test]
fn weights_in_half_precision_and_under_other_names() {
    use safetensors::{Dtype, SafeTensors, serialize, tensor::TensorView};

    let whole = fs::read(model_dir().join(WEIGHTS)).unwrap();
    let whole = SafeTensors::deserialize(&whole).unwrap();
    // Each number rounded to both half formats, in two bytes and in four.
    let rounded = |dtype: Dtype, short: bool| {
        let arrays = whole.iter().filter(|(_, array)| array.dtype() == Dtype::F32);
        arrays
            .map(|(name, array)| {
                let (values, _) = array.data().as_chunks::<4>();
                let values = values.iter().copied().map(f32::from_le_bytes);
                let bytes: Vec<u8> = values
                    .flat_map(|value| {
                        let (bits, long) = match dtype {
                            Dtype::F16 => {
                                (f16::from_f32(value).to_bits(), f16::from_f32(value).to_f32())
                            }
                            _ => (bf16::from_f32(value).to_bits(), bf16::from_f32(value).to_f32()),
                        };
                        if short {
                            bits.to_le_bytes().to_vec()
                        } else {
                            long.to_le_bytes().to_vec()
                        }
                    })
                    .collect();
                (name.to_owned(), array.shape().to_vec(), bytes)
            })
            .collect::<Vec<_>>()
    };
    let written = |arrays: &[(String, Vec<usize>, Vec<u8>)], dtype| {
        let views = arrays.iter().map(|(name, shape, bytes)| {
            (name.as_str(), TensorView::new(dtype, shape.clone(), bytes).unwrap())
        });
        let copy = Copy::new().write(WEIGHTS, serialize(views, None).unwrap());
        Embedder::load(copy.path()).unwrap()
    };
    let plain = Embedder::load(model_dir()).unwrap();
    for dtype in [Dtype::F16, Dtype::BF16] {
        let long = written(&rounded(dtype, false), Dtype::F32).embed("a text").unwrap();
        let mut short = rounded(dtype, true);
        assert_eq!(written(&short, dtype).embed("a text").unwrap(), long);
        let cosine: f32 = long.iter().zip(plain.embed("a text").unwrap()).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999, "{dtype}: {cosine}");
        for (name, ..) in &mut short {
            *name = format!("bert.{name}")
                .replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta");
        }
        assert_eq!(written(&short, dtype).embed("a text").unwrap(), long);
    }
    let integers =
        [("embeddings.word_embeddings.weight".to_owned(), vec![30522, 384], vec![0; 30522 * 384])];
    let views = integers.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::I8, shape.clone(), bytes).unwrap())
    });
    let copy = Copy::new().write(WEIGHTS, serialize(views, None).unwrap());
    copy.fails(InvalidEmbedder, &[WEIGHTS, "word_embeddings", "BF16", "I8"]);
}

#[test]
fn configurations_of_newer_versions() {
    let copy = Copy::new()
        .write(POOLING, json!({ "embedding_dimension": 384, "pooling_mode": "mean" }).to_string())
        .edit("modules.json", |m| {
            m[0]["type"] = json!("sentence_transformers.base.modules.transformer.Transformer");
        });
    let embedder = Embedder::load(copy.path()).unwrap();
    let old = Embedder::load(model_dir()).unwrap();
    assert_eq!(embedder.embed("a text").unwrap(), old.embed("a text").unwrap());
    let copy = copy.edit(POOLING, |c| c["embedding_dimension"] = json!(768));
    copy.fails(InvalidEmbedder, &["384", "768"]);
    let copy = copy.edit(POOLING, |c| c["pooling_mode_max_tokens"] = json!(true));
    copy.fails(InvalidEmbedder, &["pooling_mode_max_tokens"]);
}

#[test]
fn tasks_of_another_kind() {
    let name = "sentence_bert_config.json";
    for (key, value) in [
        ("transformer_task", json!("text-generation")),
        ("processing_kwargs", json!({"text": {"truncation": false}})),
    ] {
        Copy::new().edit(name, |c| c[key] = value).fails(InvalidEmbedder, &[name, key]);
    }
    let copy = Copy::new().edit(name, |c| c["transformer_task"] = json!("feature-extraction"));
    let copy = copy.edit(name, |c| c["processing_kwargs"] = json!({}));
    Embedder::load(copy.path()).unwrap();
}

#[test]
fn prompts_and_truncation() {
    const NAME: &str = "config_sentence_transformers.json";
    let with = |settings: Value| {
        let copy = Copy::new();
        fs::write(copy.path().join(NAME), settings.to_string()).unwrap();
        copy
    };
    let plain = Embedder::load(model_dir()).unwrap();
    let prompts = json!({"q": "search for: ", "other": "no"});
    let copy = with(json!({"prompts": prompts, "default_prompt_name": "q", "truncate_dim": 100}));
    let embedder = Embedder::load(copy.path()).unwrap();
    assert_eq!(embedder.dim(), 100);
    assert_eq!(
        embedder.embed("A Text").unwrap(),
        plain.embed("search for: A Text").unwrap()[..100]
    );
    let difference = embedder.fingerprint().difference(plain.fingerprint()).unwrap();
    let expected = "dimension 100, expected 384; prompt \"search for: \", expected \"\"";
    assert_eq!(difference, expected);
    // Prompts that `encode` does not use by itself change nothing.
    for unused in [
        json!({"prompts": {"query": "search for: "}, "truncate_dim": null}),
        json!({"prompts": {"query": null}, "default_prompt_name": "query"}),
        json!({"default_prompt_name": "document", "truncate_dim": 500}),
    ] {
        let embedder = Embedder::load(with(unused).path()).unwrap();
        assert_eq!(embedder.fingerprint(), plain.fingerprint());
    }
    let unknown = with(json!({"prompts": {"a": "b"}, "default_prompt_name": "c"}));
    unknown.fails(InvalidEmbedder, &[NAME, "default_prompt_name", "\"c\""]);
    with(json!({"truncate_dim": 0})).fails(InvalidEmbedder, &[NAME, "truncate_dim"]);
    let copy = copy.edit(POOLING, |c| c["include_prompt"] = json!(false));
    copy.fails(InvalidEmbedder, &[&native(POOLING), "include_prompt"]);
}

#[test]
fn settings_of_the_tokenizer_override_its_file_as_in_transformers() {
    const NAME: &str = "tokenizer_config.json";
    let plain = Embedder::load(model_dir()).unwrap();
    let normaliser = |key: &str, value: Value| {
        Copy::new()
            .edit("tokenizer.json", |t| t["normalizer"][key] = value)
            .edit(NAME, |c| c["tokenizer_class"] = json!("PreTrainedTokenizerFast"))
    };
    for (setting, key, value) in [
        ("do_lower_case", "lowercase", json!(false)),
        ("strip_accents", "strip_accents", json!(false)),
        ("tokenize_chinese_chars", "handle_chinese_chars", json!(false)),
    ] {
        let text = "Café 中文";
        let set = Copy::new().edit(NAME, |c| c[setting] = value.clone());
        let set = Embedder::load(set.path()).unwrap();
        let own = Embedder::load(normaliser(key, value.clone()).path()).unwrap();
        assert_eq!(set.embed(text).unwrap(), own.embed(text).unwrap(), "{setting}");
        assert_ne!(set.embed(text).unwrap(), plain.embed(text).unwrap(), "{setting}");
        let difference = set.fingerprint().difference(plain.fingerprint()).unwrap();
        assert!(difference.starts_with("tokenizer"), "{difference}");
        assert_eq!(set.fingerprint(), own.fingerprint(), "{setting}");
        // The settings win, and so do their defaults.
        let copy = normaliser(key, value).edit(NAME, |c| c["tokenizer_class"] = json!(null));
        assert_eq!(Embedder::load(copy.path()).unwrap().fingerprint(), plain.fingerprint());
        let copy = copy.remove(NAME);
        assert_eq!(
            Embedder::load(copy.path()).unwrap().embed(text).unwrap(),
            plain.embed(text).unwrap()
        );
    }
}

#[test]
fn fingerprints_say_what_differs() {
    let plain = Embedder::load(model_dir()).unwrap();
    let recorded = plain.fingerprint().to_string().parse().unwrap();
    assert_eq!(plain.fingerprint().difference(&recorded), None);
    let of = |copy: Copy| Embedder::load(copy.path()).unwrap().fingerprint().difference(&recorded);
    // What a program that saves the model anew writes differently.
    let saved = Copy::new().edit("tokenizer.json", |t| t["truncation"] = json!(null));
    let saved = saved.edit("config.json", |c| c["transformers_version"] = json!("5.0.0"));
    assert_eq!(of(saved), None);
    let mut bytes = fs::read(model_dir().join(WEIGHTS)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert!(of(Copy::new().write(WEIGHTS, &bytes)).unwrap().starts_with("weights \""));
    let heads = Copy::new().edit("config.json", |c| c["num_attention_heads"] = json!(6));
    assert!(of(heads).unwrap().starts_with("weights \""));
    let limit = Copy::new().edit("sentence_bert_config.json", |c| c["max_seq_length"] = json!(128));
    assert_eq!(of(limit).unwrap(), "max_tokens 128, expected 256");
    let raw = Copy::new().edit("modules.json", |m| drop(m.as_array_mut().unwrap().pop()));
    assert_eq!(of(raw).unwrap(), "normalise false, expected true");
}

#[test]
fn modules_of_another_kind() {
    let copy = Copy::new().edit("modules.json", |m| {
        m[2]["type"] = json!("sentence_transformers.models.Dense");
    });
    copy.fails(InvalidEmbedder, &["modules.json", "Normalize", "Dense"]);
    Copy::new().write("modules.json", "[]").fails(InvalidEmbedder, &["modules.json", "[]"]);
    for path in ["../elsewhere", "/etc", "a/../../b"] {
        let copy = Copy::new().edit("modules.json", |m| m[1]["path"] = json!(path));
        copy.fails(InvalidEmbedder, &["modules.json", "inside", path]);
    }
}

#[test]
fn without_the_normalisation() {
    let copy = Copy::new().edit("modules.json", |m| drop(m.as_array_mut().unwrap().pop()));
    let vector = Embedder::load(copy.path()).unwrap().embed("a text").unwrap();
    let length: f32 = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() > 0.1, "{length}");
}

#[test]
fn limits_of_tokens() {
    let name = "sentence_bert_config.json";
    let limit = |n: Value| Copy::new().edit(name, |c| c["max_seq_length"] = n);
    limit(json!(0)).fails(InvalidEmbedder, &[name, "max_seq_length"]);
    limit(json!(2)).fails(InvalidEmbedder, &["tokenizer.json", "limit of 2"]);
    limit(json!(-5)).fails(InvalidEmbedder, &[name, "-5"]);
    for (n, expected) in [(json!(u64::MAX), 512), (json!(null), 512), (json!(3), 3)] {
        let embedder = Embedder::load(limit(n).path()).unwrap();
        assert_eq!(embedder.max_tokens(), expected);
        assert_eq!(embedder.embed(&"long ".repeat(1000)).unwrap().len(), 384);
    }
}

#[test]
fn texts_lower_cased_on_demand() {
    // The tokenizer no longer does it, so that only the model's own setting can.
    let copy = Copy::new().edit("tokenizer_config.json", |c| c["do_lower_case"] = json!(false));
    let cased = Embedder::load(copy.path()).unwrap();
    assert_ne!(cased.embed("A Text").unwrap(), cased.embed("a text").unwrap());
    let copy = copy.edit("sentence_bert_config.json", |c| c["do_lower_case"] = json!(true));
    let lower = Embedder::load(copy.path()).unwrap();
    assert_eq!(lower.embed("A Text").unwrap(), cased.embed("a text").unwrap());
}

#[test]
fn a_tokenizer_of_another_model() {
    let copy = Copy::new().edit("tokenizer.json", |t| t["model"]["vocab"]["far"] = json!(40_000));
    copy.fails(InvalidEmbedder, &["tokenizer.json", "30522", "40000"]);
    let copy = Copy::new().edit("tokenizer.json", |t| {
        t["post_processor"]["special_tokens"]["[CLS]"]["ids"] = json!([50_000]);
    });
    copy.fails(InvalidEmbedder, &["tokenizer.json", "30522", "50000"]);
    // Two that the tokenizer library panics on.
    let copy =
        Copy::new().edit("tokenizer.json", |t| t["post_processor"]["special_tokens"] = json!({}));
    copy.fails(InvalidEmbedder, &["tokenizer.json", "do not fit together"]);
    let whole = fs::read_to_string(model_dir().join("tokenizer.json")).unwrap();
    let decoder = whole.find("\"decoder\"").unwrap();
    let copy = Copy::new().write("tokenizer.json", &whole[..decoder + 15]);
    copy.fails(InvalidEmbedder, &["tokenizer.json", "not JSON"]);
    // Without special tokens an empty text has no token at all.
    let copy = Copy::new().edit("tokenizer.json", |t| t["post_processor"] = json!(null));
    let embedder = Embedder::load(copy.path()).unwrap();
    assert_eq!(embedder.embed("").unwrap_err().kind(), InvalidEmbedder);
    assert_eq!(embedder.embed("a").unwrap().len(), 384);
}

#[test]
fn truncated_weights() {
    let whole = fs::read(model_dir().join(WEIGHTS)).unwrap();
    for length in [0, 7, 8, 100, 20_000, whole.len() / 2, whole.len() - 1] {
        let copy = Copy::new().write(WEIGHTS, &whole[..length]);
        copy.fails(InvalidEmbedder, &[WEIGHTS, "expected", &length.to_string()]);
    }
}

#[test]
fn hostile_weights() {
    let mut huge = u64::MAX.to_le_bytes().to_vec();
    huge.extend(b"{}");
    Copy::new().write(WEIGHTS, &huge).fails(InvalidEmbedder, &[WEIGHTS, "header"]);
    Copy::new().write(WEIGHTS, [9; 64]).fails(InvalidEmbedder, &[WEIGHTS, "header"]);
    Copy::new().weights(&json!([1]), 0).fails(InvalidEmbedder, &[WEIGHTS, "header"]);

    let word = "embeddings.word_embeddings.weight";
    let entry = |dtype: &str, shape: Value, offsets: Value| json!({ word: {"dtype": dtype, "shape": shape, "data_offsets": offsets} });
    let shape = json!([30522, 384]);
    let cases = [
        (json!({ word: {"dtype": "F32"} }), "missing field"),
        (json!({}), "not fully covered"),
        (json!({ "other": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]} }), word),
        (entry("F32", json!([4, 4]), json!([0, 64])), "expected shape [30522, 384]"),
        (entry("F32", json!([u64::MAX, u64::MAX]), json!([0, 64])), "overflow"),
        (entry("F32", shape.clone(), json!([0, 64])), "shape"),
        (entry("F32", shape.clone(), json!([64, 0])), "offset"),
        (entry("F32", shape.clone(), json!([0, u64::MAX])), "shape"),
        (entry("F16", shape.clone(), json!([0, 64])), "shape"),
    ];
    for (header, words) in cases {
        Copy::new().weights(&header, 64).fails(InvalidEmbedder, &[WEIGHTS, words]);
    }
    let overlapping = json!({
        "a": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]},
        "b": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]},
    });
    Copy::new().weights(&overlapping, 64).fails(InvalidEmbedder, &[WEIGHTS, "invalid offset"]);
}

#[test]
fn weights_that_are_not_numbers() {
    let mut bytes = fs::read(model_dir().join(WEIGHTS)).unwrap();
    let end = bytes.len();
    // Most of the encoder's layers.
    for value in bytes[end / 2..].chunks_exact_mut(4) {
        value.copy_from_slice(&f32::NAN.to_le_bytes());
    }
    let copy = Copy::new().write(WEIGHTS, bytes);
    let error = Embedder::load(copy.path()).unwrap().embed("a text").unwrap_err();
    assert_eq!(error.kind(), InvalidEmbedder);
    assert!(error.to_string().contains("not finite"), "{error}");
}
