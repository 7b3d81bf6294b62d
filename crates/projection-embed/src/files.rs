//! Reading the small files of a model folder, with errors that name the file.

use std::path::{Component, Path};

use projection_kernel::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A defect of the model file `path`.
pub(crate) fn invalid(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidEmbedder, format!("{}: {what}", path.display()))
}

/// The bytes of a file. A missing one is [`ErrorKind::NotFound`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    projection_kernel::files::read(path)
}

/// Parses the bytes of the JSON file `path`.
pub(crate) fn parse_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes)
        .map_err(|e| invalid(path, format_args!("not the JSON expected here: {e}")).with_source(e))
}

/// Parses a JSON file that holds an object.
///
/// By way of a map, because serde also takes a list of the fields' values for a struct.
pub(crate) fn parse_object<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    let map: Map<String, Value> = parse_json(path, bytes)?;
    serde_json::from_value(Value::Object(map)).map_err(|e| invalid(path, &e).with_source(e))
}

/// As [`parse_object`], for a file that a model folder may lack.
pub(crate) fn read_optional<T: DeserializeOwned + Default>(path: &Path) -> Result<T> {
    match read(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(T::default()),
        bytes => parse_object(path, &bytes?),
    }
}

/// Whether `path`, as written in a model's files, stays inside the model's folder.
pub(crate) fn stays_inside(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}
