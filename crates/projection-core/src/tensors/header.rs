//! The header of a `.safetensors` file: eight bytes with its length, then JSON that gives
//! the dtype, shape and place of every tensor, and texts under `__metadata__`.
//!
//! Nothing here takes memory on the word of the file: the header is read only where it lies
//! inside the file, and every tensor's size is compared with its place.

use std::ops::Range;

use crate::json::Json;

/// Longest header that is read. Ours have a few hundred bytes a tensor.
const LONGEST: usize = 16 << 20;

/// The key of the texts.
const METADATA: &str = "__metadata__";

/// Element types that the format names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Dtype {
    const ALL: [(Self, &'static str, usize); 13] = [
        (Self::F64, "F64", 8),
        (Self::F32, "F32", 4),
        (Self::F16, "F16", 2),
        (Self::BF16, "BF16", 2),
        (Self::I64, "I64", 8),
        (Self::I32, "I32", 4),
        (Self::I16, "I16", 2),
        (Self::I8, "I8", 1),
        (Self::U64, "U64", 8),
        (Self::U32, "U32", 4),
        (Self::U16, "U16", 2),
        (Self::U8, "U8", 1),
        (Self::Bool, "BOOL", 1),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(dtype, ..)| *dtype)
    }

    fn entry(self) -> (&'static str, usize) {
        let entry = Self::ALL.iter().find(|(dtype, ..)| *dtype == self);
        entry.map_or(("", 0), |(_, name, size)| (name, *size))
    }

    /// The format's name, such as `F32`.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        self.entry().1
    }
}

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Its place in the file.
    pub place: Range<usize>,
}

/// Values by their names, each of which comes once, in ascending order.
#[derive(Debug)]
pub struct Named<T>(Vec<(String, T)>);

impl<T> Named<T> {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        let place = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(&self.0[place].1)
    }

    /// Whether there is a value of this name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }
}

/// What a header says.
#[derive(Debug)]
pub(super) struct Header {
    pub metadata: Named<String>,
    pub tensors: Named<Entry>,
}

impl Header {
    /// Reads and checks the header of a whole file.
    pub fn parse(file: &[u8]) -> Result<Self, String> {
        let Some((length, rest)) = file.split_first_chunk::<8>() else {
            return Err(format!(
                "{} bytes, expected a .safetensors file, which has at least 8",
                file.len()
            ));
        };
        let length = u64::from_le_bytes(*length);
        let fitting = usize::try_from(length).ok().filter(|length| *length <= rest.len());
        let Some(length) = fitting else {
            return Err(format!(
                "header of {length} bytes in a file of {}: truncated, or not a .safetensors file",
                file.len()
            ));
        };
        if length > LONGEST {
            return Err(format!("header of {length} bytes, expected at most {LONGEST}"));
        }
        let text = std::str::from_utf8(&rest[..length])
            .map_err(|_| "header is not text: damaged, or not a .safetensors file".to_string())?;
        let wrong = |what| format!("header is not what .safetensors files have: {what}");
        let json = Json::parse(text).map_err(wrong)?;
        let entries =
            json.entries().ok_or_else(|| wrong("expected an object of tensors".into()))?;
        let (mut metadata, mut tensors) = (Vec::new(), Vec::new());
        let start = 8 + length;
        for (name, value) in entries {
            if name == METADATA {
                metadata = texts(value)?;
                continue;
            }
            let entry = entry(value, start, file.len())
                .map_err(|what| format!("tensor '{name}': {what}"))?;
            tensors.push((name.clone(), entry));
        }
        let header = Self { metadata: Named(metadata), tensors: Named(tensors) };
        header.check_places(start, file.len())?;
        Ok(header)
    }

    /// The tensors lie one after another without gap or overlap, up to the end of the file.
    fn check_places(&self, start: usize, end: usize) -> Result<(), String> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_unstable_by_key(|(_, entry)| (entry.place.start, entry.place.end));
        let mut at = start;
        for (name, entry) in tensors {
            if entry.place.start != at {
                let how = if entry.place.start < at {
                    "overlaps another one"
                } else {
                    "has a gap before it"
                };
                return Err(format!("tensor '{name}': it {how}"));
            }
            at = entry.place.end;
        }
        if at != end {
            return Err(format!("{} bytes after the last tensor", end - at));
        }
        Ok(())
    }
}

/// The texts under `__metadata__`.
fn texts(value: &Json<'_>) -> Result<Vec<(String, String)>, String> {
    let wrong = || format!("'{METADATA}' is not an object of texts");
    let entries = value.entries().ok_or_else(wrong)?.iter();
    entries.map(|(key, value)| Ok((key.clone(), value.text().ok_or_else(wrong)?.into()))).collect()
}

/// Reads and checks the entry of a tensor in a file of `length` bytes whose data start at
/// `start`.
fn entry(value: &Json<'_>, start: usize, length: usize) -> Result<Entry, String> {
    let name = value.get("dtype").and_then(Json::text).ok_or("without a 'dtype'")?;
    let dtype = Dtype::from_name(name).ok_or_else(|| format!("unknown dtype '{name}'"))?;
    let numbers = |key: &str| -> Result<Vec<usize>, String> {
        let found = value.get(key).ok_or_else(|| format!("without a list '{key}'"))?;
        let list = found.list().ok_or_else(|| format!("'{key}' is {found}, expected a list"))?;
        let numbers: Option<Vec<usize>> = list.iter().map(Json::count).collect();
        numbers.ok_or_else(|| format!("'{key}' is {found}, expected whole numbers"))
    };
    let shape = numbers("shape")?;
    let offsets = numbers("data_offsets")?;
    let &[begin, end] = &offsets[..] else {
        return Err(format!("'data_offsets' is {offsets:?}, expected two numbers"));
    };
    if begin > end || end > length - start {
        return Err(format!(
            "bytes {begin} to {end} of {} bytes of data{}",
            length - start,
            if begin > end { "" } else { " (truncated)" }
        ));
    }
    let size = shape.iter().try_fold(dtype.size(), |product, n| product.checked_mul(*n));
    if size != Some(end - begin) {
        return Err(format!(
            "shape {shape:?} of {} takes {}, but it has {} bytes",
            dtype.name(),
            size.map_or("more than memory can hold".into(), |size| format!("{size} bytes")),
            end - begin
        ));
    }
    Ok(Entry { dtype, shape, place: start + begin..start + end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(vec![0; data]);
        file
    }

    #[test]
    fn reads_what_the_format_says() {
        let text = r#"{"__metadata__": {"a": "b"},
            "x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]},
            "n": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
            "none": {"dtype": "U8", "shape": [0, 7], "data_offsets": [32, 32]}}"#;
        let header = Header::parse(&file(text, 32)).unwrap();
        assert_eq!(header.metadata.get("a").unwrap(), "b");
        let x = header.tensors.get("x").unwrap();
        assert_eq!((x.dtype, &x.shape[..], x.place.len()), (Dtype::F32, &[2, 3][..], 24));
        assert_eq!(header.tensors.names().collect::<Vec<_>>(), ["n", "none", "x"]);
        for (dtype, name, size) in Dtype::ALL {
            assert_eq!((Dtype::from_name(name), dtype.size()), (Some(dtype), size));
        }
    }

    #[test]
    fn refuses_everything_else() {
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(
                r#"{{"x": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}}}"#
            )
        };
        let cases = [
            (one("F32", "[2]", "[0, 4]"), "takes 8 bytes"),
            (one("F32", "[2]", "[0, 8]"), ""),
            (one("F32", "[3]", "[0, 12]"), "truncated"),
            (one("F32", "[1]", "[4, 8]"), "gap"),
            (one("F32", "[1]", "[0, 4]"), "after the last"),
            (one("F32", "[1]", "[8, 4]"), "bytes 8 to 4"),
            (one("Q4", "[2]", "[0, 8]"), "Q4"),
            (one("F32", "[-2]", "[0, 8]"), "whole numbers"),
            (one("F32", "[2.0]", "[0, 8]"), "whole numbers"),
            (one("F32", "2", "[0, 8]"), "shape"),
            (one("F32", "[2]", "[0]"), "two numbers"),
            (one("F32", "[4294967296, 4294967296]", "[0, 8]"), "more than memory"),
            (r#"{"x": 1}"#.into(), "dtype"),
            ("[]".into(), "object"),
            ("{".into(), "header"),
            (r#"{"__metadata__": {"a": 1}}"#.into(), "texts"),
            (r#"{"__metadata__": []}"#.into(), "texts"),
            (
                r#"{"x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},
                    "y": {"dtype": "U8", "shape": [7], "data_offsets": [1, 8]}}"#
                    .into(),
                "overlaps",
            ),
            (
                r#"{"x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]},
                    "x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}"#
                    .into(),
                "twice",
            ),
        ];
        for (text, word) in cases {
            let result = Header::parse(&file(&text, 8));
            match word {
                "" => assert!(result.is_ok()),
                _ => {
                    let message = result.unwrap_err();
                    assert!(message.contains(word), "{message}");
                }
            }
        }
        let deep = "[".repeat(100_000);
        assert!(Header::parse(&file(&deep, 0)).is_err());
        let mut endless = file("{}", 0);
        endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Header::parse(&endless).unwrap_err().contains("truncated"));
        assert!(Header::parse(b"1234567").is_err());
    }
}
