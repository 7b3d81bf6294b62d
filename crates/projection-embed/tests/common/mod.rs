//! The model that the tests use.

use std::path::{Path, PathBuf};

/// The folder of the real model. Fails where it has not been fetched.
pub fn model_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/all-MiniLM-L6-v2");
    assert!(
        dir.join("model.safetensors").is_file(),
        "the tests need the text model in {}: run `make model`",
        dir.display()
    );
    dir
}
