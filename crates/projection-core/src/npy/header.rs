//! The header of a `.npy` file (NumPy's "NEP 1" format, versions 1 to 3): magic, version,
//! header length and a Python dict literal with exactly `descr`, `fortran_order`, `shape`.

use std::ops::Range;

use serde::Deserialize;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header that is read. NumPy itself refuses longer ones unless told otherwise.
const MAX_HEADER: usize = 10_000;

/// Bytes at the beginning of a file that hold every header that is read.
pub(super) const MAX_START: usize = 12 + MAX_HEADER;

/// Types of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // The names say it all.
pub enum Dtype {
    Float16,
    Float32,
    Float64,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

/// What vectors are made of.
pub(super) const FLOATS: &[Dtype] = &[Dtype::Float16, Dtype::Float32, Dtype::Float64];

/// What labels are made of.
pub(super) const INTEGERS: &[Dtype] = &[
    Dtype::Int8,
    Dtype::Int16,
    Dtype::Int32,
    Dtype::Int64,
    Dtype::Uint8,
    Dtype::Uint16,
    Dtype::Uint32,
    Dtype::Uint64,
];

impl Dtype {
    /// NumPy's name, the type's code in headers, and the bytes of an element.
    fn entry(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::Float16 => ("float16", "f2", 2),
            Self::Float32 => ("float32", "f4", 4),
            Self::Float64 => ("float64", "f8", 8),
            Self::Int8 => ("int8", "i1", 1),
            Self::Int16 => ("int16", "i2", 2),
            Self::Int32 => ("int32", "i4", 4),
            Self::Int64 => ("int64", "i8", 8),
            Self::Uint8 => ("uint8", "u1", 1),
            Self::Uint16 => ("uint16", "u2", 2),
            Self::Uint32 => ("uint32", "u4", 4),
            Self::Uint64 => ("uint64", "u8", 8),
        }
    }

    /// NumPy's name, such as `float32`.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        self.entry().2
    }
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub dtype: Dtype,
    pub big_endian: bool,
    pub fortran_order: bool,
    /// One or two axes, none of them empty.
    pub shape: Vec<usize>,
    /// Number of elements, checked not to overflow when multiplied by the element size.
    pub elements: usize,
}

/// Where the header's text lies, from the first bytes of a file.
pub(super) fn text_range(start: &[u8]) -> Result<Range<usize>, String> {
    if start.len() < MAGIC.len() || &start[..MAGIC.len()] != MAGIC {
        return Err("not a .npy file: expected it to begin with \"\\x93NUMPY\" (magic)".into());
    }
    let (begin, length) = match start.get(6..) {
        Some([1, _, low, high, ..]) => (10, usize::from(u16::from_le_bytes([*low, *high]))),
        Some([2 | 3, _, a, b, c, d, ..]) => {
            (12, usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX))
        }
        Some([version, minor, ..]) if !(1..=3).contains(version) => {
            return Err(format!("format version {version}.{minor}, expected 1, 2 or 3"));
        }
        _ => return Err("truncated: it ends inside the header".into()),
    };
    if length > MAX_HEADER {
        return Err(format!("header of {length} bytes, expected at most {MAX_HEADER}"));
    }
    Ok(begin..begin + length)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Parses the header's text. The elements must be of one of some types.
pub(super) fn parse(text: &[u8], expected: &[Dtype]) -> Result<Header, String> {
    let text = std::str::from_utf8(text).map_err(|_| "header is not text".to_string())?;
    if !text.trim_start().starts_with('{') {
        return Err(format!("header is not a dict: {:.24?}", text.trim()));
    }
    let json = to_json(text);
    let mut reader = serde_json::Deserializer::from_str(&json);
    let Fields { descr, fortran_order, shape } = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| format!("header: {error}"))?;
    reader.end().map_err(|error| format!("header: {error}"))?;
    let known = |dtype: &&Dtype| {
        let (_, code, size) = dtype.entry();
        // One byte has no order, for which NumPy writes `|`.
        descr.strip_prefix(if size == 1 { ['|', '<'] } else { ['<', '>'] }) == Some(code)
    };
    let Some(dtype) = expected.iter().find(known).copied() else {
        let names: Vec<_> = expected.iter().map(|dtype| dtype.name()).collect();
        return Err(format!("dtype '{descr}', expected one of {}", names.join(", ")));
    };
    if !(1..=2).contains(&shape.len()) || shape.contains(&0) {
        return Err(format!("shape {shape:?}, expected one or two dimensions, none of them 0"));
    }
    let elements = shape
        .iter()
        .try_fold(1usize, |product, n| product.checked_mul(*n))
        .filter(|elements| elements.checked_mul(dtype.size()).is_some())
        .ok_or_else(|| format!("shape {shape:?} overflows the address space"))?;
    Ok(Header { dtype, big_endian: descr.starts_with('>'), fortran_order, shape, elements })
}

/// The dict literal as JSON. Whatever else a text holds becomes JSON of another form or none.
fn to_json(literal: &str) -> String {
    let literal = literal.replace("True", "true").replace("False", "false");
    let mut json = String::with_capacity(literal.len());
    for sign in literal.chars() {
        match sign {
            '\'' => json.push('"'),
            '(' => json.push('['),
            ')' | ']' | '}' => {
                // Python allows a comma after the last item, and NumPy writes one.
                let items = json.trim_end().len();
                json.truncate(items);
                if json.ends_with(',') {
                    json.pop();
                }
                json.push(if sign == ')' { ']' } else { sign });
            }
            // Python 2 wrote long integers as `3L`.
            'L' if json.ends_with(|last: char| last.is_ascii_digit()) => {}
            other => json.push(other),
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes() {
        let header = |text: &[u8]| parse(text, FLOATS).unwrap();
        assert_eq!(
            header(b"{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }   \n"),
            Header {
                dtype: Dtype::Float64,
                big_endian: false,
                fortran_order: true,
                shape: vec![3, 4],
                elements: 12
            }
        );
        let vector = header(b"{\"shape\": (7L,), 'fortran_order': False, 'descr': '>f2'}");
        assert_eq!((&vector.shape[..], vector.dtype), (&[7][..], Dtype::Float16));
        assert!(vector.big_endian);
        let labels = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}";
        assert_eq!(parse(labels, INTEGERS).unwrap().dtype, Dtype::Uint8);
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, word) in [
            ("", "dict"),
            ("['<f4', False, (3,)]", "dict"),
            ("{'descr': '<f4', 'shape': (3,)}", "fortran_order"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", "|O"),
            ("{'descr': '<i8', 'fortran_order': False, 'shape': (3,)}", "<i8"),
            ("{'descr': '|f4', 'fortran_order': False, 'shape': (3,)}", "|f4"),
            ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,)}", "descr"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", "shape"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3", "EOF"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "shape []"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}", "shape [1, 2, 3]"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2)}", "shape [0, 2]"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}", "`x`"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} 1", "trailing"),
            ("{'descr': '<f4', 'descr': '<f4'}", "duplicate"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 536870912)}",
                "overflows",
            ),
        ] {
            let message = parse(text.as_bytes(), FLOATS).unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        }
        assert!(parse("{".repeat(MAX_HEADER).as_bytes(), FLOATS).is_err());
    }

    #[test]
    fn refuses_long_headers_before_reading_them() {
        let long = text_range(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").unwrap_err();
        assert!(long.contains("4294967295"), "{long}");
        assert_eq!(text_range(b"\x93NUMPY\x01\x00\x76\x00"), Ok(10..128));
        assert!(text_range(b"\x93NUMPY\x09\x00\x76\x00").unwrap_err().contains("version"));
        assert!(text_range(b"\x93NUMPY\x01\x00\x76").unwrap_err().contains("truncated"));
    }
}
