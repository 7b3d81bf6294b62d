//! Vectors of the real model: against the float64 reference, in batches, from many threads,
//! and in what they mean.

mod common;

use std::sync::OnceLock;

use common::model_dir;
use ndarray::{Array2, ArrayView1};
use projection_embed::Embedder;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    text: String,
    vector: Vec<f32>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("reference.json")).unwrap()
}

fn embedder() -> &'static Embedder {
    static EMBEDDER: OnceLock<Embedder> = OnceLock::new();
    EMBEDDER.get_or_init(|| Embedder::load(model_dir()).unwrap())
}

fn furthest<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f32>) -> f32 {
    a.into_iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

#[test]
fn agrees_with_the_float64_reference() {
    let mut worst = 0.0f32;
    for case in cases() {
        let vector = embedder().embed(&case.text).unwrap();
        assert_eq!(vector.len(), case.vector.len());
        let difference = furthest(&vector, &case.vector);
        worst = worst.max(difference);
        assert!(difference < 1e-5, "{:?}: off by {difference:e}", case.text);
    }
    println!("worst difference {worst:e}");
}

#[test]
fn sizes() {
    assert_eq!(embedder().dim(), 384);
    assert_eq!(embedder().max_tokens(), 256);
    for (text, tokens) in [("", 2), ("hello world", 4), (&"long ".repeat(2000), 256)] {
        assert_eq!(embedder().count_tokens(text).unwrap(), tokens);
    }
}

/// Stores hold this fingerprint: with another one they would refuse the model that made their
/// vectors.
#[test]
fn the_fingerprint_is_that_of_existing_stores() {
    let expected = r#"{"dimension":384,"lower_case":false,"max_tokens":256,"normalise":true,"pooling":"mean","prompt":"","tokenizer":"46ee61eb755fe142","weights":"3c93590a39e7d5c7"}"#;
    assert_eq!(embedder().fingerprint().to_string(), expected);
}

#[test]
fn vectors_have_unit_length() {
    for case in cases() {
        let vector = embedder().embed(&case.text).unwrap();
        let length: f64 = vector.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-6, "{:?}: {length}", case.text);
    }
}

#[test]
fn a_batch_gives_what_single_texts_give() {
    // Many lengths, more than one pass through the network, in no order.
    let cases = cases();
    let texts: Vec<&str> = (0..70).map(|n| cases[n * 7 % cases.len()].text.as_str()).collect();
    let batch = embedder().embed_batch(&texts).unwrap();
    assert_eq!(batch.dim(), (texts.len(), 384));
    for (text, row) in texts.iter().zip(batch.rows()) {
        let single = embedder().embed(text).unwrap();
        let difference = furthest(row, &single);
        assert!(difference < 1e-6, "{text:?}: off by {difference:e}");
    }
}

#[test]
fn an_empty_batch_has_no_rows() {
    let none: [&str; 0] = [];
    assert_eq!(embedder().embed_batch(&none).unwrap().dim(), (0, 384));
}

#[test]
fn a_batch_takes_any_strings() {
    let owned = vec![String::from("one"), String::from("two")];
    assert_eq!(embedder().embed_batch(&owned).unwrap().nrows(), 2);
}

#[test]
fn text_beyond_the_limit_does_not_count() {
    let long = "again and ".repeat(200);
    let longer = format!("{long} something else entirely");
    assert_eq!(embedder().embed(&long).unwrap(), embedder().embed(&longer).unwrap());
    // As a whole, each of these takes seconds and a gigabyte.
    for piece in ["again and ", "中", "x", "{\"a\":1},", "ก"] {
        let long = embedder().embed(&piece.repeat(2000)).unwrap();
        assert_eq!(long, embedder().embed(&piece.repeat((10 << 20) / piece.len())).unwrap());
    }
}

#[test]
fn many_threads_at_once() {
    fn is_shareable<T: Send + Sync>(_: &T) {}
    is_shareable(embedder());
    let cases = cases();
    let texts: Vec<&str> = cases[..8].iter().map(|case| case.text.as_str()).collect();
    let expected = embedder().embed_batch(&texts).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (texts, expected) = (&texts, &expected);
            scope.spawn(move || {
                for n in 0..4 {
                    let row = (thread + n) % texts.len();
                    let single = embedder().embed(texts[row]).unwrap();
                    assert!(furthest(&single, expected.row(row)) < 1e-6);
                }
                let batch: Array2<f32> = embedder().embed_batch(texts).unwrap();
                assert_eq!(batch, expected);
            });
        }
    });
}

#[test]
fn paraphrases_are_closer_than_other_texts() {
    let texts = [
        "How do I read a CSV file?",
        "Loading comma-separated data from disk",
        "What should I cook for dinner tonight?",
        "Ideas for an evening meal",
        "The stock market fell sharply",
        "Shares dropped in heavy trading",
    ];
    let vectors = embedder().embed_batch(&texts).unwrap();
    let cosine = |a: ArrayView1<f32>, b: ArrayView1<f32>| a.dot(&b);
    for (n, text) in texts.iter().enumerate() {
        let paraphrase = n ^ 1;
        let near = cosine(vectors.row(n), vectors.row(paraphrase));
        for other in (0..texts.len()).filter(|&other| other != n && other != paraphrase) {
            let far = cosine(vectors.row(n), vectors.row(other));
            assert!(near > far + 0.1, "{text:?}: {near} to its paraphrase, {far} to {other}");
        }
    }
}
