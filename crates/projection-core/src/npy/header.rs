//! The header of a `.npy` file (NumPy's "NEP 1" format, versions 1 to 3): magic, version,
//! header length and a Python dict literal with exactly `descr`, `fortran_order`, `shape`.
//!
//! Nothing here takes memory on the word of the file.

use std::ops::Range;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header that is read. NumPy itself refuses longer ones unless told otherwise.
const LONGEST: usize = 10_000;

/// Element types that the engine reads, all little-endian IEEE floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Half precision, `<f2`.
    Float16,
    /// Single precision, `<f4`.
    Float32,
    /// Double precision, `<f8`.
    Float64,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::Float16 => 2,
            Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// NumPy's name, such as `float32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float16 => "float16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}

/// A family of element types, of which a header names one.
pub(super) trait Element: Copy {
    /// The family in words, for messages.
    const EXPECTED: &'static str;

    /// The type that NumPy calls `descr`, where it is one of the family.
    fn from_descr(descr: &str) -> Option<Self>;

    /// Bytes of one element.
    fn size(self) -> usize;

    /// NumPy's name.
    fn name(self) -> &'static str;
}

impl Element for Dtype {
    const EXPECTED: &'static str = "float16, float32 or float64";

    fn from_descr(descr: &str) -> Option<Self> {
        match descr {
            "<f2" => Some(Self::Float16),
            "<f4" => Some(Self::Float32),
            "<f8" => Some(Self::Float64),
            _ => None,
        }
    }

    fn size(self) -> usize {
        self.size()
    }

    fn name(self) -> &'static str {
        self.name()
    }
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<D> {
    pub dtype: D,
    pub fortran_order: bool,
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
    if length > LONGEST {
        return Err(format!("header of {length} bytes, expected at most {LONGEST}"));
    }
    Ok(begin..begin + length)
}

/// Parses the header's text.
pub(super) fn parse<D: Element>(text: &[u8]) -> Result<Header<D>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "header is not text".to_string())?;
    let mut literal = Literal { rest: text.trim() };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    literal.expect('{')?;
    while !literal.take('}') {
        let key = literal.string()?;
        literal.expect(':')?;
        let repeated = match key {
            "descr" => descr.replace(literal.dtype::<D>()?).is_some(),
            "fortran_order" => fortran_order.replace(literal.boolean()?).is_some(),
            "shape" => shape.replace(literal.shape()?).is_some(),
            other => return Err(format!("header with an unknown key '{other}'")),
        };
        if repeated {
            return Err(format!("header with '{key}' twice"));
        }
        if !literal.take(',') {
            literal.expect('}')?;
            break;
        }
    }
    if !literal.rest.is_empty() {
        return Err(format!("header goes on after its end: {:?}", clipped(literal.rest)));
    }
    let missing = |key: &str| format!("header without '{key}'");
    let dtype = descr.ok_or_else(|| missing("descr"))?;
    let fortran_order = fortran_order.ok_or_else(|| missing("fortran_order"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    if !(1..=2).contains(&shape.len()) || shape.contains(&0) {
        return Err(format!("shape {shape:?}, expected one or two dimensions, none of them 0"));
    }
    let elements = shape
        .iter()
        .try_fold(1usize, |product, n| product.checked_mul(*n))
        .filter(|elements| elements.checked_mul(dtype.size()).is_some())
        .ok_or_else(|| format!("shape {shape:?} overflows the address space"))?;
    Ok(Header { dtype, fortran_order, shape, elements })
}

/// A cursor over the few kinds of Python literals that a header is made of.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn take(&mut self, token: char) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.take(token) {
            return Ok(());
        }
        Err(format!("header where '{token}' was expected and {:?} found", clipped(self.rest)))
    }

    fn string(&mut self) -> Result<&'a str, String> {
        for quote in ['\'', '"'] {
            if let Some((text, rest)) =
                self.rest.strip_prefix(quote).and_then(|rest| rest.split_once(quote))
            {
                self.rest = rest.trim_start();
                return Ok(text);
            }
        }
        Err(format!("header where a text was expected and {:?} found", clipped(self.rest)))
    }

    fn dtype<D: Element>(&mut self) -> Result<D, String> {
        if self.rest.starts_with('[') {
            return Err(format!("'descr' of a structured dtype, expected {}", D::EXPECTED));
        }
        let descr = self.string()?;
        D::from_descr(descr).ok_or_else(|| {
            let kind = match descr.trim_start_matches(['<', '>', '=', '|']).chars().next() {
                _ if descr.starts_with('>') => "big-endian ",
                Some('i' | 'u') => "integer ",
                Some('f') => "float ",
                Some('c') => "complex ",
                Some('O') => "object ",
                Some('b' | '?') => "boolean ",
                _ => "",
            };
            format!("{kind}dtype '{descr}', expected little-endian {}", D::EXPECTED)
        })
    }

    fn boolean(&mut self) -> Result<bool, String> {
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest.trim_start();
                return Ok(value);
            }
        }
        Err(format!("header where True or False was expected and {:?} found", clipped(self.rest)))
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(').map_err(|error| format!("no shape: {error}"))?;
        let mut shape = Vec::new();
        while !self.take(')') {
            let digits = self.rest.len() - self.rest.trim_start_matches(char::is_numeric).len();
            let (number, rest) = self.rest.split_at(digits);
            shape.push(number.parse().map_err(|_| {
                format!("header with {:?} in its shape, expected numbers", clipped(self.rest))
            })?);
            // Python 2 wrote long integers as `3L`.
            self.rest = rest.strip_prefix('L').unwrap_or(rest).trim_start();
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(shape)
    }
}

/// The first characters of a text that may be long, for a message.
fn clipped(text: &str) -> &str {
    match text.char_indices().nth(24) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_numpy_writes() {
        let header =
            parse::<Dtype>(b"{'descr': '<f8', 'fortran_order': True, 'shape': (3, 4), }   \n");
        let expected =
            Header { dtype: Dtype::Float64, fortran_order: true, shape: vec![3, 4], elements: 12 };
        assert_eq!(header, Ok(expected));
        let vector =
            parse::<Dtype>(b"{\"shape\": (7L,), 'fortran_order': False, 'descr': '<f2'}").unwrap();
        assert_eq!(vector.shape, [7]);
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, word) in [
            ("", "'{'"),
            ("{'descr': '<f4', 'shape': (3,)}", "fortran_order"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", "object"),
            ("{'descr': '<i8', 'fortran_order': False, 'shape': (3,)}", "integer"),
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (3,)}", "big-endian"),
            ("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3,)}", "structured"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", "shape"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3", "')'"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "shape []"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 3)}", "shape [1, 2, 3]"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2)}", "shape [0, 2]"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}", "'x'"),
            ("{'descr': '<f4', 'descr': '<f4'}", "twice"),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 536870912)}",
                "overflows",
            ),
        ] {
            let message = parse::<Dtype>(text.as_bytes()).unwrap_err();
            assert!(message.contains(word), "{text}: {message}");
        }
    }

    #[test]
    fn refuses_long_headers_before_reading_them() {
        assert!(
            text_range(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").unwrap_err().contains("4294967295")
        );
        assert_eq!(text_range(b"\x93NUMPY\x01\x00\x76\x00"), Ok(10..128));
        assert!(text_range(b"\x93NUMPY\x09\x00\x76\x00").unwrap_err().contains("version"));
        assert!(text_range(b"\x93NUMPY\x01\x00\x76").unwrap_err().contains("truncated"));
    }
}
