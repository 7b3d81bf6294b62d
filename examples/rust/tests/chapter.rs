//! The Rust snippets of the book's chapter "Cross-Target Deployment", line by line, with a
//! `?` where a call can fail. They run in a folder with a store that was really trained.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use unifyweaver::embed_store;
use unifyweaver::embedder::Embedder;
use unifyweaver::import::import_file;
use unifyweaver::search::Searcher;
use unifyweaver::store::Store;
use unifyweaver::{MultiHeadTraining, train_multi_head};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const QUESTIONS: &str = r#"{"clusters": [
    {"answer_id": "token", "answer": "Send your access token in the Authorization header.",
     "questions": ["How do I log in?", "Where does my password go?", "sign in to the API"]},
    {"answer_id": "limit", "answer": "You may make a hundred calls a minute.",
     "questions": ["Is there a rate limit?", "Why am I throttled?", "too many requests"]},
    {"answer_id": "json", "answer": "All results are JSON objects.",
     "questions": ["What format comes back?", "parse the response", "Can I get XML?"]}]}"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

// The snippets use an embedder and a searcher without saying where they come from.
#[allow(non_upper_case_globals)]
static embedder: LazyLock<Embedder> = LazyLock::new(|| {
    let folder = root().join("models/all-MiniLM-L6-v2");
    Embedder::load(&folder).unwrap_or_else(|error| panic!("{error}: run `make model`"))
});
#[allow(non_upper_case_globals)]
static searcher: LazyLock<Searcher> = LazyLock::new(|| Searcher::open("lda.db", None).unwrap());

#[rustfmt::skip]
mod high_performance {
    use super::{Result, embedder, searcher};

    use unifyweaver::projection::MultiHeadProjection;

    pub fn main() -> Result<()> {
        // Load from unified model files
        let proj = MultiHeadProjection::load_unified(
            "embeddings/all-MiniLM-L6-v2",
            1,    // mh_projection_id
            0.1   // temperature
        )?;

        // Project query
        let query_emb = embedder.embed("How do I authenticate?")?;
        let (projected, weights) = proj.project(&query_emb)?;

        // Search
        let results = searcher.vector_search_with_projection(
            &query_emb,
            Some(&proj),
            10
        )?;

        assert_eq!((projected.len(), weights.len(), results.len()), (384, 3, 3));
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let best = searcher.text(results[0].answer_id).unwrap();
        assert!(best.contains("access token"), "{best}");
        Ok(())
    }
}

mod npy_loading {
    use super::Result;

    use unifyweaver::npy;

    use ndarray::Array1;
    use std::fs::File;
    use std::io::BufReader;

    pub fn load_npy(path: &str) -> Result<Array1<f32>> {
        let file = File::open(path)?;
        let reader = BufReader::new(file);
        // Parse NPY header and load data
        Ok(npy::read_npy(reader)?)
    }
}

mod discovery {
    use super::Result;
    use super::npy_loading::load_npy;

    use glob::glob;
    use unifyweaver::layout::extract_cluster_id;

    pub fn discover(mh_id: i64) -> Result<Vec<i64>> {
        let mut clusters = Vec::new();
        let pattern = format!("embeddings/*/mh_{}_cluster_*_centroid.npy", mh_id);
        for entry in glob(&pattern)? {
            let path = entry?.display().to_string();
            let cluster_id = extract_cluster_id(&path);
            let centroid = load_npy(&path)?;
            let answer_path = path.replace("_centroid.npy", "_answer.npy");
            let answer = load_npy(&answer_path)?;
            assert_eq!((centroid.len(), answer.len()), (384, 384));
            clusters.extend(cluster_id);
        }
        Ok(clusters)
    }
}

#[test]
fn the_chapters_snippets_run() {
    let folder = tempfile::tempdir().unwrap();
    // The snippets' paths are relative. This is the only test of its program.
    std::env::set_current_dir(folder.path()).unwrap();
    std::fs::write("qa.json", QUESTIONS).unwrap();
    let mut store = Store::open_or_create("lda.db").unwrap();
    import_file(&mut store, "qa.json").unwrap();
    embed_store(&mut store, &embedder, "all-MiniLM-L6-v2", Default::default(), &mut |_| {
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(train_multi_head(&mut store, &MultiHeadTraining::default()).unwrap().id, 1);

    high_performance::main().unwrap();
    assert_eq!(discovery::discover(1).unwrap(), [1, 2, 3]);
}
