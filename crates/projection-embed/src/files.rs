//! Reading the small files of a model folder, with errors that name the file.

use std::path::{Component, Path};

use projection_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A defect of the model file `path`.
pub(crate) fn invalid(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidEmbedder, format!("{}: {what}", path.display()))
}

/// Reads and parses a JSON file. A missing file is [`ErrorKind::NotFound`].
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
    parse_json(path, &bytes)
}

/// Parses the bytes of the JSON file `path`.
pub(crate) fn parse_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| invalid(path, format_args!("not the JSON expected here: {e}")).with_source(e))
}

/// As [`read_json`], for an object in a file that a model folder may lack.
pub(crate) fn read_optional_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    // By way of a map: serde would also take a list of the fields' values.
    let map: Map<String, Value> = match read_json(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        map => map?,
    };
    serde_json::from_value(Value::Object(map))
        .map(Some)
        .map_err(|e| invalid(path, e.to_string()).with_source(e))
}

/// Whether `path`, as written in a model's files, stays inside the model's folder.
pub(crate) fn stays_inside(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
