//! Asks a store a question.
//!
//! usage: `ask STORE.db PROJECTION_ID MODEL_FOLDER "question" [k]`
//!
//! Prints the three largest routing weights with their clusters, then one line per hit: rank,
//! score, answer id and text, separated by tabs. The examples in C and Go print the same.

use std::process::ExitCode;

use unifyweaver::embedder::Embedder;
use unifyweaver::projection::Projection;
use unifyweaver::search::Searcher;
use unifyweaver::store::Store;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (store, id, model_folder, question, k) = match &arguments[..] {
        [store, id, folder, question] => (store, id.parse(), folder, question, Ok(5)),
        [store, id, folder, question, k] => (store, id.parse(), folder, question, k.parse()),
        _ => {
            eprintln!("usage: ask STORE.db PROJECTION_ID MODEL_FOLDER \"question\" [k]");
            return ExitCode::from(2);
        }
    };
    let (Ok(id), Ok(k)) = (id, k) else {
        eprintln!("ask: PROJECTION_ID and k must be whole numbers");
        return ExitCode::from(2);
    };
    match ask(store, id, model_folder, question, k) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn ask(
    store: &str,
    id: i64,
    model_folder: &str,
    question: &str,
    k: usize,
) -> unifyweaver::Result<()> {
    let projection = Store::open_read_only(store)?.model(id)?;
    let searcher = Searcher::open(store, None)?;
    let embedder = Embedder::load(model_folder)?;

    let query = embedder.embed(question)?;
    let (_projected, weights) = projection.project(&query)?;
    let mut heads: Vec<_> = projection.head_ids().iter().zip(weights).collect();
    heads.sort_by(|a, b| b.1.total_cmp(&a.1));
    for (cluster, weight) in heads.iter().take(3) {
        println!("weight\t{cluster}\t{weight:.6}");
    }

    let hits = searcher.vector_search_with_projection(&query, Some(&projection), k)?;
    for (rank, hit) in (1..).zip(hits) {
        let text = searcher.text(hit.answer_id).unwrap_or_default().replace('\n', " ");
        println!("{rank}\t{:.6}\t{}\t{text}", hit.score, hit.answer_id);
    }
    Ok(())
}
