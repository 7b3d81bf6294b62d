//! Reading JSON as it is written, so that numbers keep their digits and faults their places.

use std::fmt;

use projection_core::Result;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A text with something in it. Numbers serve as ids, so they are taken too, as they are written.
#[derive(Debug)]
pub(super) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        text(raw).map(Self).map_err(D::Error::custom)
    }
}

/// The text of a value, as [`Text`] has it.
pub(super) fn text(raw: &RawValue) -> Result<String, String> {
    match raw.get().as_bytes()[0] {
        b'"' => match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if text.trim().is_empty() => Err("empty text".into()),
            Ok(text) => Ok(text),
            Err(error) => Err(error.to_string()),
        },
        b'-' | b'0'..=b'9' => Ok(raw.get().to_string()),
        _ => Err(format!("expected a text, found {:.40}", raw.get())),
    }
}

/// The fields of an object, in the order of the file.
pub(super) struct Fields<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Reads JSON. Errors say where in it something else was expected.
pub(super) fn value<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let what = if error.inner().is_data() { "" } else { "not JSON: " };
        format!("{what}{error}")
    })?;
    json.end().map_err(not_json)?;
    Ok(value)
}

pub(super) fn not_json(error: serde_json::Error) -> String {
    format!("not JSON: {error}")
}

/// Lines of parts of a text, which are looked for in the text's order.
pub(super) struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    /// The line of `part`, from 1.
    pub fn of(&mut self, part: &str) -> usize {
        let before = part.as_ptr() as usize - self.rest.as_ptr() as usize;
        self.line += self.rest[..before].matches('\n').count();
        self.rest = &self.rest[before..];
        self.line
    }
}
